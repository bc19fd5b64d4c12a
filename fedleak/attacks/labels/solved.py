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
    """The local steps by which a weight delta becomes a gradient, ``-delta / (rate * steps)``, where
    momentum and schedule make more or fewer of the steps; unless given, or where it leaves settings open, the scale is
    taken to be the one that leaves at least one class empty."""

    def solved(self, update: SharedUpdate, estimator: Estimator, gradient: Tensor, count: int) -> Tensor:
        """Sorted labels ``(count,)``.

        Args:
            estimator: of the number of images per class.
            gradient: of the last layer's bias, ``(K,)``; for a weight delta up to a positive factor.

        Raises:
            AttackFailedError: if the gradient is not finite.
        """
        known, guess = update.protocol == "fedsgd", self.local_training
        assumed = guess.assumptions(count) if guess is not None else ()
        if not known and len(assumed) == 1 and assumed[0].learning_rate is not None:
            gradient, known = gradient / (assumed[0].learning_rate * assumed[0].reach(count)), True
        return labels_of(count_images(estimator, gradient, count, known_scale=known))
