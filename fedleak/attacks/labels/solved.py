"""What label inferences that solve for numbers of images share."""

from __future__ import annotations

from torch import Tensor

from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.labels.counting import Estimator, count_images, labels_of
from fedleak.threat import SharedUpdate


class SolvedCounts(LabelInference):
    """Base of inferences that solve a linear system for the number of images of each class."""

    local_training: LocalTrainingGuess | None = None
    """The local steps by which a weight delta becomes a gradient, ``-delta / (rate * steps)``; unless given, its scale
    is taken to be the one that leaves at least one class empty."""

    def solved(self, update: SharedUpdate, estimator: Estimator, gradient: Tensor, count: int) -> Tensor:
        """Sorted labels ``(count,)``.

        Args:
            estimator: of the number of images per class.
            gradient: of the last layer's bias, ``(K,)``; for a weight delta up to a positive factor.

        Raises:
            AttackFailedError: if the gradient is not finite.
        """
        known = update.protocol == "fedsgd"
        if not known and self.local_training is not None:
            steps = self.local_training.steps(count)
            gradient, known = gradient / (steps.learning_rate * len(steps.batches)), True
        return labels_of(count_images(estimator, gradient, count, known_scale=known))
