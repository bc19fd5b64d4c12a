"""Label counts from the gradient of the last layer, one label at a time."""

from __future__ import annotations

from typing import Literal

import torch

from fedleak.attacks.labels.base import LabelInference, output_gradient
from fedleak.errors import AttackFailedError
from fedleak.threat import SharedUpdate


class GreedyBias(LabelInference):
    """Take the most negative class, add back one sample's share, repeat (after Zhao et al. 2020, arXiv 2001.02610).

    With one sample it is iDLG's rule: only the true class has a negative entry in ``dL/db = softmax(z) - y``.
    With B samples every occurrence of a class lowers its entry by 1/B, so the greedy choice also finds repeats.
    Without a bias, the row sums of the weight gradient are used, and the share is estimated from their negative part.
    """

    kind: Literal["greedy_bias"] = "greedy_bias"

    def infer(self, update: SharedUpdate, *, count: int) -> torch.Tensor:
        """Sorted labels ``(count,)``."""
        weight, bias = output_gradient(update)
        score = (bias if bias is not None else weight.sum(dim=1)).double().clone()
        if not torch.isfinite(score).all():
            raise AttackFailedError("the gradient of the last layer is not finite")
        share = self._share(score, count, exact=bias is not None and update.protocol == "fedsgd")
        labels = []
        for _ in range(count):
            label = int(score.argmin())
            labels.append(label)
            score[label] += share
        return torch.tensor(sorted(labels))

    def _share(self, score: torch.Tensor, count: int, *, exact: bool) -> float:
        """Amount by which one sample lowers the entry of its class."""
        if exact:
            return 1.0 / count
        return float(-score.clamp(max=0).sum() / count) * (1 + 1 / max(len(score) - 1, 1))
