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
    """The local steps by which a weight delta becomes a gradient, ``-delta / (rate * steps)``; unless given, or
    with an estimated rate, its scale is taken to be the one that leaves at least one class empty."""

    def solved(self, update: SharedUpdate, estimator: Estimator, gradient: Tensor, count: int) -> Tensor:
        """Sorted labels ``(count,)``.

        Args:
            estimator: of the number of images per class.
            gradient: of the last layer's bias, ``(K,)``; for a weight delta up to a positive factor.

        Raises:
            AttackFailedError: if the gradient is not finite.
        """
        known, guess = update.protocol == "fedsgd", self.local_training
        if not known and guess is not None and not isinstance(guess.learning_rate, str):
            gradient, known = gradient / (guess.learning_rate * guess.count(count)), True
        return labels_of(count_images(estimator, gradient, count, known_scale=known))
