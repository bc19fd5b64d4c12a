"""Label oracle: the true labels."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fedleak.attacks.labels.base import LabelInference
from fedleak.errors import AttackFailedError
from fedleak.threat import TrueLabels


class Oracle(LabelInference):
    """The true labels, as many published tables assume; a real attacker does not have them.

    Needs the capability ``true_labels``, granted by name. The results record that true labels were used.
    """

    kind: Literal["oracle"] = "oracle"
    is_oracle: ClassVar[bool] = True

    def infer(self, truth: TrueLabels, *, count: int) -> torch.Tensor:
        """Sorted labels ``(count,)``.

        Raises:
            AttackFailedError: if the batch has a different size.
        """
        if len(truth.labels) != count:
            raise AttackFailedError(f"the batch had {len(truth.labels)} labels, but {count} were requested")
        return truth.labels.sort().values
