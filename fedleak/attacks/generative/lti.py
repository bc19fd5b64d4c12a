"""LTI, Learning to Invert: one MLP from the update to the images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.generative.base import GenerativeAttack, TargetShape, integer_root
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.layers.graph import LayerGraph


class Lti(GenerativeAttack):
    """Learning to Invert: one MLP from the flattened update to the images (Wu et al. 2023, UAI).

    Three hidden layers with ReLU and a sigmoid output, as in the paper. The inputs are standardised as in GIT, so the
    two attacks differ only in architecture.
    """

    kind: Literal["lti"] = "lti"
    hidden: int | None = Field(default=None, ge=1, le=limits.WIDTH)
    """Width of the hidden layers (3,000 in the paper); default: chosen to match ``parameters``."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """The MLP; the structure of the leaked model is not used."""
        width = features.size
        hidden = self.hidden or integer_root(2, width + target.values, self.parameters)
        return _LtiNetwork(width, hidden, target, self.dropout)


class _LtiNetwork(nn.Module):
    def __init__(self, width: int, hidden: int, target: TargetShape, dropout: float) -> None:
        super().__init__()
        self._shape = (target.images, *target.image)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, target.values),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        output: Tensor = self.layers(features)
        return output.reshape(len(features), *self._shape)
