"""Guard against last layers that silence classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.client.guard.base import Finding, Guard


class FishingGuard(Guard):
    """Finds linear layers that silence most of their outputs (Wen et al. 2022, arXiv 2202.00580).

    A layer that lets the images of one class through, or those of one feature, has the same row for all other classes,
    or biases beside which no logit counts. Rows of honest layers differ, and their biases are a few logits at most.
    """

    kind: Literal["class_fishing"] = "class_fishing"
    rows: float = Field(default=0.5, gt=0, le=1)
    """Smallest share of rows equal to another row at which a layer counts as crafted."""
    bias: float = Field(default=50.0, gt=0, le=limits.RATE)
    """Smallest difference between two biases at which a layer counts as crafted: no softmax recovers from it."""

    def inspect(self, model: nn.Module) -> list[Finding]:
        """Inspect every linear layer with at least two outputs."""
        findings = []
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear) and layer.out_features > 1:
                findings += [Finding(self.kind, name, reason) for reason in self._reasons(layer)]
        return findings

    def _reasons(self, layer: nn.Linear) -> Iterator[str]:
        share = float(_equal_rows(layer.weight.detach().double()).double().mean())
        if share >= self.rows:
            yield f"{share:.0%} of its rows equal another row"
        spread = 0.0 if layer.bias is None else float(layer.bias.detach().max() - layer.bias.detach().min())
        if spread >= self.bias:
            yield f"its biases differ by {spread:.4g}"


def _equal_rows(matrix: Tensor) -> Tensor:
    """Mask ``(n,)`` of the rows that are equal to another one."""
    _, place, counts = torch.unique(matrix, dim=0, return_inverse=True, return_counts=True)
    repeated: Tensor = counts[place] > 1
    return repeated
