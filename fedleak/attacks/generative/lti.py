"""Learning to Invert."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from fedleak.attacks.generative.base import GenerativeAttack, TargetShape, integer_root
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.layers.graph import LayerGraph


class Lti(GenerativeAttack):
    """Learning to Invert: one MLP from the flattened update to the images (Wu et al. 2023, UAI).

    Three hidden layers with ReLU and a sigmoid output, as in the paper; the inputs are standardised like GIT's, so
    that the two differ in architecture only.
    """

    kind: Literal["lti"] = "lti"
    hidden: int | None = Field(default=None, ge=1)
    """Width of the hidden layers (3,000 in the paper); chosen to come near ``parameters`` unless given."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """The structure of the leaked model is ignored."""
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
