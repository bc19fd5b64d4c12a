"""What an update says about local settings that the attacker does not know."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from fedleak.attacks.inversion.replay import replica, split_state
from fedleak.errors import AttackFailedError
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate


def estimated_rate(
    update: SharedUpdate,
    architecture: ModelArchitecture,
    model: GlobalModel,
    pixels: PixelPrior,
    labels: Tensor | None,
    *,
    steps: int,
) -> float:
    """The local learning rate behind a weight delta, read off the last layer's bias (our own estimator).

    A step moves that bias by minus the rate times ``mean(softmax(z) - y)``. With the class frequencies ``y`` of
    ``labels`` and the probabilities ``p`` of the broadcast model on a grey image, least squares over classes gives
    ``rate = -<delta_b, p - y> / (steps * ||p - y||^2)``: right to first order, while outputs depend little on images.

    Args:
        labels: ``(B,)``.
        steps: assumed local steps.

    Raises:
        AttackFailedError: if there are no labels, no such bias, or the delta does not point that way.
    """
    delta = list(update.tensors.values())[-1]
    if labels is None or delta.ndim != 1 or len(delta) != architecture.classes:
        raise AttackFailedError("a local learning rate can be estimated only from labels and the last layer's bias")
    module = replica(architecture.build(seed=0), train_mode=False)
    mean, std = (torch.tensor(v).to(delta).reshape(1, -1, 1, 1) for v in (pixels.mean, pixels.std))
    grey = ((0.5 - mean) / std).expand(1, *architecture.input_shape)
    probabilities = functional_call(module, split_state(module, model.state), (grey,)).softmax(dim=1)[0]
    frequencies = torch.bincount(labels, minlength=architecture.classes).to(delta) / len(labels)
    pull = probabilities - frequencies
    rate = float(-(delta @ pull) / (steps * pull.square().sum()))
    if not rate > 0:
        raise AttackFailedError(f"the estimated local learning rate is {rate:g}, not a positive number")
    return rate
