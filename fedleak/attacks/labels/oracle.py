"""The true labels."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fedleak.attacks.labels.base import LabelInference
from fedleak.errors import AttackFailedError
from fedleak.threat import TrueLabels


class Oracle(LabelInference):
    """The true labels themselves, as many tables of the literature assume; no attacker has them.

    Needs the capability ``true_labels``, granted by name. Results say that labels were true.
    """

    kind: Literal["oracle"] = "oracle"
    is_oracle: ClassVar[bool] = True

    def infer(self, truth: TrueLabels, *, count: int) -> torch.Tensor:
        """Sorted labels ``(count,)``.

        Raises:
            AttackFailedError: if the batch had another size.
        """
        if len(truth.labels) != count:
            raise AttackFailedError(f"the batch had {len(truth.labels)} labels, asked for are {count}")
        return truth.labels.sort().values
