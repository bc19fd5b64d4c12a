"""What every label inference is."""

from __future__ import annotations

from abc import abstractmethod

import torch

from fedleak.component import Component
from fedleak.threat import SharedUpdate


class LabelInference(Component):
    """Guesses the labels behind one update."""

    @abstractmethod
    def infer(self, update: SharedUpdate, *, count: int) -> torch.Tensor:
        """``count`` labels, sorted, repeats allowed.

        Raises:
            AttackFailedError: if the update lacks what the method reads.
        """


def output_gradient(update: SharedUpdate) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradient of the last layer's weight ``(classes, features)`` and bias ``(classes,)``, up to a positive factor.

    A weight delta points against the gradient, so its sign is turned.
    """
    names = list(update.tensors)
    sign = 1.0 if update.protocol == "fedsgd" else -1.0
    if update.tensors[names[-1]].ndim == 1 and update.tensors[names[-2]].ndim == 2:
        return sign * update.tensors[names[-2]], sign * update.tensors[names[-1]]
    return sign * update.tensors[names[-1]].flatten(1), None
