"""Guard against imprint modules."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from fedleak.client.guard.base import Finding, Guard, weight_matrices


class Imprint(Guard):
    """Finds layers whose rows are multiples of one vector (Fowl et al. 2022, arXiv 2110.13057).

    The bins of an imprint layer differ only in the bias, so its weight matrix has rank one: the largest singular value
    holds nearly all of the energy.
    """

    kind: Literal["imprint"] = "imprint"
    energy: float = Field(default=0.95, gt=0, le=1)
    """Smallest share of the largest squared singular value at which a layer counts as crafted."""

    def inspect(self, model: nn.Module) -> list[Finding]:
        """Inspect every layer with at least four outputs and inputs."""
        findings = []
        for name, _, matrix in weight_matrices(model, smallest=4):
            gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
            squares = torch.linalg.eigvalsh(gram).clamp(min=0)
            total = float(squares.sum())
            share = float(squares[-1]) / total if total > 0 else 0.0
            if share >= self.energy:
                findings.append(Finding(self.kind, name, f"{share:.1%} of its weights' energy lies in one direction"))
        return findings
