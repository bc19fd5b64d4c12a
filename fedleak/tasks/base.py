"""Base class of learning tasks: loss, targets computed from labels, and accuracy of outputs."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import Tensor

from fedleak.component import Component

Reduction = Literal["none", "mean", "sum"]


class LearningTask(Component):
    """Base class of learning tasks: what a network is trained for.

    Labels are the class numbers of a data set, int64 ``(N,)``; a task computes its targets from them. *Soft* targets
    are the targets as real vectors ``(N, D)``, where ``D`` is the number of outputs of the network: augmentation mixes
    them, and attacks that do not know the labels search for them.
    """

    @abstractmethod
    def outputs(self, classes: int) -> int:
        """Number of network outputs for a data set with ``classes`` classes."""

    def check_classes(self, classes: int) -> None:
        """Whether the task fits a data set of so many classes; every number does unless the kind says no.

        Raises:
            ValueError: if it does not.
        """
        return

    def chance(self, classes: int) -> float:
        """Accuracy, in [0, 1], of the best constant answer if all classes are equally frequent."""
        return 1 / classes

    @abstractmethod
    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Labels ``(...,)`` -> targets for ``loss``."""

    @abstractmethod
    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Labels ``(...,)`` -> float32 ``(..., D)``."""

    @abstractmethod
    def relaxed(self, variables: Tensor) -> Tensor:
        """Free variables ``(..., D)`` of a search -> soft targets."""

    @abstractmethod
    def found_labels(self, variables: Tensor, classes: int) -> Tensor:
        """The labels int64 ``(...,)`` nearest to the free variables ``(..., D)`` found by a search."""

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
        """Correctness of each output, ``(N,)`` in [0, 1]; the mean over the test split is the accuracy of a round."""
