"""Base class of label inference methods."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch

from fedleak.component import Component
from fedleak.errors import AttackFailedError
from fedleak.threat import SharedUpdate


class LabelInference(Component):
    """Base class of label inference: estimates the labels behind one update.

    A concrete kind defines ``infer(self, <capabilities>, *, count) -> Tensor``; parameters annotated with a class of
    ``fedleak.threat`` are its threat model, as in an attack.
    """

    is_oracle: ClassVar[bool] = False
    """Whether the labels are the true ones."""

    @abstractmethod
    def infer(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """``count`` labels, sorted, repeats allowed.

        Raises:
            AttackFailedError: if the update lacks what the method reads.
        """


def output_gradient(update: SharedUpdate) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradient of the last layer's weight ``(classes, features)`` and bias ``(classes,)``, up to a positive factor.

    A weight delta points against the gradient, so its sign is inverted.

    Raises:
        AttackFailedError: if the update does not end with such a layer.
    """
    tensors = list(update.tensors.values())
    sign = 1.0 if update.protocol == "fedsgd" else -1.0
    if [tensor.ndim for tensor in tensors[-2:]] == [2, 1]:
        return sign * tensors[-2], sign * tensors[-1]
    if not tensors or tensors[-1].ndim < 2:
        raise AttackFailedError("the update does not end with the gradient of a linear layer")
    return sign * tensors[-1].flatten(1), None


def lowest_classes(score: torch.Tensor, count: int) -> torch.Tensor:
    """The ``count`` classes with the lowest scores, sorted; beyond the number of classes it repeats from the lowest.

    Raises:
        AttackFailedError: if the scores are not finite.
    """
    if not torch.isfinite(score).all():
        raise AttackFailedError("the gradient of the last layer is not finite")
    order = score.argsort(stable=True)
    return order[torch.arange(count, device=order.device) % len(order)].sort().values
