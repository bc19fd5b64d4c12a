"""Base class of label inference methods that solve for the number of images per class."""

from __future__ import annotations

from torch import Tensor

from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.labels.counting import Estimator, count_images, labels_of
from fedleak.client.local_sgd import LocalSgd
from fedleak.threat import SharedUpdate


class SolvedCounts(LabelInference):
    """Base class of methods that solve a linear system for the number of images of each class."""

    local_training: LocalTrainingGuess | None = None
    """Assumed local training, used to convert a weight delta to a gradient, ``-delta / (rate * steps)``, with the
    number of steps corrected for momentum and schedule. If it is null (default), not unique, or not SGD, the scale is
    assumed to leave at least one class empty."""

    def solved(self, update: SharedUpdate, estimator: Estimator, gradient: Tensor, count: int) -> Tensor:
        """Sorted labels ``(count,)``.

        Args:
            estimator: estimates the number of images per class.
            gradient: of the last layer's bias, ``(K,)``; for a weight delta, up to a positive factor.

        Raises:
            AttackFailedError: if the gradient is not finite.
        """
        known, guess = update.protocol == "fedsgd", self.local_training
        assumed = guess.assumptions(count) if guess is not None else ()
        linear = len(assumed) == 1 and isinstance(assumed[0].optimizer, LocalSgd)  # Adam's steps have no such scale
        if not known and linear and assumed[0].learning_rate is not None:
            gradient, known = gradient / (assumed[0].learning_rate * assumed[0].reach(count)), True
        return labels_of(count_images(estimator, gradient, count, known_scale=known))
