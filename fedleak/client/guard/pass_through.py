"""Guard against layers that only copy their input."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from fedleak.client.guard.base import Finding, Guard, weight_matrices


class PassThrough(Guard):
    """Finds layers that copy their input to a crafted layer behind them (Boenisch et al. 2021, arXiv 2112.02918).

    A copying filter has exactly one non-zero weight. Trained weights are never exactly zero, and pruning an update does
    not set weights to zero.
    """

    kind: Literal["pass_through"] = "pass_through"
    rows: float = Field(default=0.25, gt=0, le=1)
    """Smallest share of copying filters at which a layer counts as crafted."""

    def inspect(self, model: nn.Module) -> list[Finding]:
        """Inspect every layer with at least four outputs and inputs."""
        findings = []
        for name, _, matrix in weight_matrices(model, smallest=4):
            share = float(((matrix != 0).sum(dim=1) == 1).double().mean())
            if share >= self.rows:
                findings.append(Finding(self.kind, name, f"{share:.0%} of its filters copy one input"))
        return findings
