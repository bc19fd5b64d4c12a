"""Guard against trap weights."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.client.guard.base import Finding, Guard, weight_matrices


class TrapWeights(Guard):
    """Finds layers of neurons that almost no input activates (Boenisch et al. 2021, arXiv 2112.02918).

    In each row of a trap layer exactly half of the weights are negative and outweigh the positive half, so that a
    neuron is activated by one image of a batch and its gradient is that image. In honest rows both happen only by
    chance.
    """

    kind: Literal["trap_weights"] = "trap_weights"
    rows: float = Field(default=0.9, gt=0, le=1)
    """Smallest share of rows with both properties at which a layer counts as crafted."""

    def inspect(self, model: nn.Module) -> list[Finding]:
        """Inspect every layer with at least eight outputs and inputs."""
        findings = []
        for name, _, matrix in weight_matrices(model, smallest=8):
            share = float(_traps(matrix).double().mean())
            if share >= self.rows:
                findings.append(
                    Finding(
                        self.kind,
                        name,
                        f"{share:.0%} of its neurons have a heavier negative half",
                    )
                )
        return findings


def _traps(matrix: Tensor) -> Tensor:
    """Mask ``(n,)`` of the rows with as many positive as negative weights and a negative sum."""
    positive, negative = (matrix > 0).sum(dim=1), (matrix < 0).sum(dim=1)
    balanced = (positive - negative).abs() <= matrix.shape[1] % 2
    return torch.logical_and(balanced, matrix.sum(dim=1) < 0)
