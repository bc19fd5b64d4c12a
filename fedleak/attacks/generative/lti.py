"""LTI, Learning to Invert: one MLP from the update to the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.generative.base import GenerativeAttack, TargetShape, integer_root
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.layers.graph import LayerGraph

PUBLISHED: Mapping[str, Any] = {
    "epochs": 200,
    "batch_size": 256,
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "patience": 200,
    "schedule": "step",
    "clip": None,
}
"""Training of the authors' code for one image per gradient."""
PUBLISHED_WIDTH = 3000


class Lti(GenerativeAttack):
    """Learning to Invert: one MLP from the flattened update to the images (Wu et al. 2023, UAI).

    ``preset: matched`` is for comparisons with GIT: three hidden layers, as Chen & Liu 2025 (arXiv 2505.20026, appendix
    C) describe it, of about as many ``parameters`` as the generators beside it, trained as they are, on inputs
    standardised as theirs, so that the attacks differ in architecture only.

    ``preset: paper`` is what the authors' code does for one image (github.com/wrh14/Learning_to_Invert): two hidden
    layers of 3,000, the gradient as it is, Adam with learning rate 1e-4 that falls to a tenth after three quarters of
    200 epochs, batches of 256, no clipping. What differs: the epoch is chosen by pairs that the adversary holds out,
    where the code reports the last epoch and the best on its test images; wide layers are hashed one by one, where the
    code hashes the whole gradient; and the number of pairs is the scenario's (50,000 there).

    Fails on updates unlike its pairs: other images, another model version, post-processing that the pairs did not pass;
    with few pairs it returns little more than the mean image.
    """

    kind: Literal["lti"] = "lti"
    preset: Literal["matched", "paper"] = Field(default="matched", exclude_if=lambda value: value == "matched")
    """``paper``: layers, inputs and training of the authors' code; what is set beside it is kept."""
    hidden: int | None = Field(default=None, ge=1, le=limits.WIDTH)
    """Width of the hidden layers; default: chosen to match ``parameters``, and with ``preset: paper`` 3,000."""

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("preset") != "paper":
            return given
        training = given.get("training", {})
        size = {} if "parameters" in given else {"hidden": PUBLISHED_WIDTH}
        return size | given | {"training": {**PUBLISHED, **training} if isinstance(training, dict) else training}

    @property
    def plain_features(self) -> bool:
        """Whether the MLP takes updates as they are."""
        return self.preset == "paper"

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """The MLP; the structure of the leaked model is not used."""
        width = features.size
        depth = 2 if self.preset == "paper" else 3
        hidden = self.hidden or integer_root(depth - 1, width + target.values, self.parameters)
        return _LtiNetwork(width, hidden, target, self.dropout, depth=depth)


class _LtiNetwork(nn.Module):
    def __init__(self, width: int, hidden: int, target: TargetShape, dropout: float, *, depth: int) -> None:
        super().__init__()
        self._shape = (target.images, *target.image)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.ReLU(),
            *(part for _ in range(depth - 1) for part in (nn.Linear(hidden, hidden), nn.ReLU())),
            nn.Linear(hidden, target.values),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        output: Tensor = self.layers(features)
        return output.reshape(len(features), *self._shape)
