"""Trap weights."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.client.guard.base import Finding, Guard, weight_matrices


class TrapWeights(Guard):
    """Finds layers of neurons that almost nothing activates (Boenisch et al. 2021, arXiv 2112.02918).

    In each row of a trap layer exactly half of the weights are negative, and the positive half is weaker, so that a
    neuron fires for one image of a batch and its gradient is that image. Among honest rows an exact half is a matter
    of chance, and so is which half is weaker.
    """

    kind: Literal["trap_weights"] = "trap_weights"
    rows: float = Field(default=0.9, gt=0, le=1)
    """Share of rows with both signs of a trap from which on a layer counts as crafted."""

    def inspect(self, model: nn.Module) -> list[Finding]:
        """Every layer with at least eight outputs and inputs."""
        findings = []
        for name, _, matrix in weight_matrices(model, smallest=8):
            share = float(_traps(matrix).double().mean())
            if share >= self.rows:
                findings.append(
                    Finding(self.kind, name, f"{share:.0%} of its neurons are half negative, and weigh less")
                )
        return findings


def _traps(matrix: Tensor) -> Tensor:
    """Which rows ``(n,)`` have as many positive as negative weights, and less of the former."""
    positive, negative = (matrix > 0).sum(dim=1), (matrix < 0).sum(dim=1)
    balanced = (positive - negative).abs() <= matrix.shape[1] % 2
    return torch.logical_and(balanced, matrix.sum(dim=1) < 0)
