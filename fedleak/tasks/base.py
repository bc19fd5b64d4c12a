"""What every learning task is: a loss, targets made of labels, and how outputs are judged."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import Tensor

from fedleak.component import Component

Reduction = Literal["none", "mean", "sum"]


class LearningTask(Component):
    """What a network is trained for.

    Labels are the class numbers of a data set, int64 ``(N,)``; a task makes its targets of them. *Soft* targets are the
    same as points of a vector space ``(N, D)``, ``D`` the outputs of the network: augmentation mixes them, attacks that
    do not know the labels search for them.
    """

    @abstractmethod
    def outputs(self, classes: int) -> int:
        """Outputs that the network needs for a data set of so many classes."""

    def check_classes(self, classes: int) -> None:
        """Whether the task fits a data set of so many classes; every number does unless the kind says no.

        Raises:
            ValueError: if it does not.
        """
        return

    @abstractmethod
    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Labels ``(...,)`` -> targets as ``loss`` takes them."""

    @abstractmethod
    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Labels ``(...,)`` -> float32 ``(..., D)``."""

    @abstractmethod
    def relaxed(self, variables: Tensor) -> Tensor:
        """Free variables ``(..., D)`` of a search -> soft targets."""

    @abstractmethod
    def found_labels(self, variables: Tensor, classes: int) -> Tensor:
        """The labels int64 ``(...,)`` nearest to what a search over free variables ``(..., D)`` has found."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        """Loss of outputs ``(N, D)`` against targets, or soft targets ``(N, D)``: ``(N,)``, or their mean or sum.

        Where the two differ, as class numbers do from probabilities, they are told apart by their dimensions.
        """

    def soft_loss(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """Mean loss against soft targets ``(N, D)``, in a form that can be differentiated twice and vectorised."""
        return self.loss(outputs, soft)

    @abstractmethod
    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """How right each output is: ``(N,)`` in [0, 1]; the mean over a test split is the accuracy of a round."""
