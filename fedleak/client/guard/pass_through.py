"""Layers that only hand their input on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from fedleak.client.guard.base import Finding, Guard, weight_matrices


class PassThrough(Guard):
    """Finds layers that copy their input, to feed a crafted layer behind them (Boenisch et al. 2021, arXiv 2112.02918).

    A filter that copies has one weight that is not zero. Trained weights are never exactly zero, and a client that
    prunes its update prunes no weights.
    """

    kind: Literal["pass_through"] = "pass_through"
    rows: float = Field(default=0.25, gt=0, le=1)
    """Share of such filters from which on a layer counts as crafted."""

    def inspect(self, model: nn.Module) -> list[Finding]:
        """Every layer with at least four outputs and inputs."""
        findings = []
        for name, _, matrix in weight_matrices(model, smallest=4):
            share = float(((matrix != 0).sum(dim=1) == 1).double().mean())
            if share >= self.rows:
                findings.append(Finding(self.kind, name, f"{share:.0%} of its filters copy one input"))
        return findings
