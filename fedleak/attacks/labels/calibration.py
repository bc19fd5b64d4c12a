"""Label counts calibrated with the broadcast model's softmax on the attacker's own images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedleak.attacks.labels.base import output_gradient
from fedleak.attacks.labels.counting import linear_bayes
from fedleak.attacks.labels.solved import SolvedCounts
from fedleak.attacks.replay import as_replica, outputs_of, split_state
from fedleak.errors import AttackFailedError
from fedleak.tensors import Tensors
from fedleak.threat import GlobalModel, ModelArchitecture, SharedUpdate


@dataclass(frozen=True)
class Response:
    """A model's response to N images: softmax ``(N, K)`` and inputs of the last linear layer ``(N, M)``."""

    softmax: Tensor
    features: Tensor


class Calibrated(SolvedCounts):
    """Base class of label counts ``n = B (p - dL/db)``, where ``p`` is the expected softmax of the broadcast model.

    ``dL/db = (1/B) sum_k softmax(z_k) - y_k`` holds exactly; ``p`` replaces the unknown mean softmax of the batch.
    The correction is that of Wainakh et al. 2021 (arXiv 2105.09369, LLG* and LLG+); instead of their greedy choice, the
    counts are the integers nearest to the best linear estimate. For a weight delta, ``p`` is the mean over the model
    before and after local training. Without a bias, its gradient is estimated from the weight gradient and the mean
    feature vector.
    """

    train_mode: bool = False
    """Assume that clients normalise with the statistics of their batch."""

    def counted(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        images: Tensor,
        classes: Tensor | None,
        count: int,
    ) -> Tensor:
        """Sorted labels ``(count,)`` of one update.

        Args:
            images: the attacker's own, normalised, ``(N, C, H, W)``.
            classes: of the images, ``(N,)``; None if unknown.

        Raises:
            AttackFailedError: if the update does not end with a linear layer, or is not finite.
        """
        weight, bias = output_gradient(update)
        response = self._response(update, architecture, model, images.to(weight))
        gradient = bias if bias is not None else project(weight, response.features.mean(dim=0))
        expected = expected_softmax(response.softmax, classes)
        spread = softmax_spread(response.softmax, expected, classes)
        return self.solved(update, linear_bayes(expected, spread, count), gradient, count)

    def _response(
        self, update: SharedUpdate, architecture: ModelArchitecture, model: GlobalModel, images: Tensor
    ) -> Response:
        module = as_replica(architecture.build(seed=0), train_mode=self.train_mode).to(images.device)
        parameters, buffers = split_state(module, model.state)
        ends = [parameters]
        if update.protocol == "fedavg":
            ends.append({name: value + update.tensors[name] for name, value in parameters.items()})
        responses = [respond(module, end, buffers, images) for end in ends]
        return Response(
            softmax=torch.stack([r.softmax for r in responses]).mean(dim=0),
            features=torch.stack([r.features for r in responses]).mean(dim=0),
        )


def respond(module: nn.Module, parameters: Tensors, buffers: Tensors, images: Tensor) -> Response:
    """Softmax and last features of ``images`` ``(N, C, H, W)`` under the given state.

    Raises:
        AttackFailedError: if the network has no linear layer.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise AttackFailedError("the network has no linear layer to read labels from")
    seen: list[Tensor] = []
    handle = layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad():
            logits = outputs_of(module, parameters, buffers, images)
    finally:
        handle.remove()
    return Response(logits.to(images).softmax(dim=-1), seen[-1].flatten(1).to(images))


def expected_softmax(softmax: Tensor, classes: Tensor | None) -> Tensor:
    """Row ``j``: mean softmax of the images of class ``j``, or of all images if none: ``(N, K)`` -> ``(K, K)``."""
    count = softmax.shape[1]
    rows = softmax.mean(dim=0).expand(count, count).clone()
    for label in set() if classes is None else set(classes.tolist()):
        rows[label] = softmax[classes == label].mean(dim=0)
    return rows


def softmax_spread(softmax: Tensor, expected: Tensor, classes: Tensor | None) -> Tensor:
    """Covariance of the softmax ``(N, K)`` of single images around the expected softmax of their class, ``(K, K)``."""
    rows = expected[classes] if classes is not None else expected[0]
    deviation = (softmax - rows).double()
    return deviation.T @ deviation / len(softmax)


def project(weight: Tensor, feature: Tensor) -> Tensor:
    """The vector ``g`` for which ``g f^T`` is nearest to a gradient ``(K, M)`` of the last weight, ``(K,)``.

    Raises:
        AttackFailedError: if the mean feature vector ``f`` ``(M,)`` is zero.
    """
    size = feature.square().sum()
    if not size > 0:
        raise AttackFailedError("the inputs of the last layer are all zero")
    estimate: Tensor = weight @ feature / size
    return estimate
