"""What an update says about local settings that the attacker does not know."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fedleak.attacks.inversion.replay import loss_gradient, replica, split_state
from fedleak.errors import AttackFailedError
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate


def estimated_distance(
    update: SharedUpdate,
    architecture: ModelArchitecture,
    model: GlobalModel,
    pixels: PixelPrior,
    labels: Tensor | None,
) -> float:
    """Learning rate times local steps behind a weight delta, read off the last layer (our own estimator).

    Local steps move the last bias by about minus that distance times its gradient ``p - y``, which depends little on
    the images: ``y`` are the frequencies of ``labels``, ``p`` the broadcast model's probabilities on a grey image.
    Least squares over classes gives ``-<delta, p - y> / ||p - y||^2``, right to first order. Without a last bias the
    last weight has to serve. The direction of its gradient depends on the images, so that norms are compared:
    ``||delta|| / ||g||`` with the gradient ``g`` on grey images, right within a factor. With momentum and a schedule
    steps count as ``LocalSgd.reach`` says.

    Args:
        labels: ``(B,)``.

    Raises:
        AttackFailedError: if there are no labels, or the delta does not point that way.
    """
    if labels is None:
        raise AttackFailedError("a local learning rate can be estimated only from labels")
    name, delta = list(update.tensors.items())[-1]
    module = replica(architecture.build(seed=0), train_mode=False).to(delta.device)
    mean, std = (delta.new_tensor(v).reshape(1, -1, 1, 1) for v in (pixels.mean, pixels.std))
    grey = ((0.5 - mean) / std).expand(len(labels), *architecture.input_shape)
    targets = F.one_hot(labels, architecture.classes).to(delta)
    gradient = loss_gradient(module, *split_state(module, model.state), grey, targets)[name]
    along = -float((delta * gradient).sum())
    if not along > 0:
        raise AttackFailedError("the delta of the last layer does not point against its expected gradient")
    if delta.ndim == 1:
        return along / float(gradient.square().sum())
    return float(delta.norm() / gradient.norm())
