"""Trap weights: neurons of the first layer that few images activate."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.examples import to_unit
from fedleak.models.front import first_relu_layer
from fedleak.server.crafting.base import Crafting, CraftingKnowledge, UnfitCraftingError
from fedleak.tensors import NamedTensors

BISECTIONS = 25
TRIED = 1000
"""Public images, at most, on which the scale is chosen."""


class TrapWeightCrafting(Crafting):
    """Trap weights: rows whose negative half outweighs the positive one (Boenisch et al. 2021, arXiv 2112.02918).

    In every row of the first linear layer, half of the weights, at random places, are ``-|n|`` with ``n`` standard
    normal; the other half are the same values with the other sign, shuffled and scaled by ``gamma < 1`` (algorithm 1).
    On images in [0, 1] few inputs activate such a neuron; where it is one image of a batch, the neuron's gradient is
    that image. The papers' normalisation is undone in weight and bias. ``gamma`` is chosen on the public images so that
    a neuron is activated by a share ``activation_rate`` of them.
    """

    kind: Literal["trap_weights"] = "trap_weights"
    uses_public_data: ClassVar[bool] = True

    activation_rate: float = Field(default=0.02, gt=0, lt=1)
    """Share of images that activate a neuron; about one or two images of the expected batch."""
    scale: float | None = Field(default=None, gt=0, lt=1)
    """Factor ``gamma`` of the positive half (default: chosen by ``activation_rate``)."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Seed of the rows, which are the same for all clients and rounds."""

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        """Replace weight and bias of the first layer."""
        try:
            name = first_relu_layer(model)
        except ValueError as error:
            raise UnfitCraftingError(str(error)) from error
        state = dict(model.state_dict())
        weight = state[f"{name}.weight"]
        negative, places = _halves(len(weight), weight.shape[1], torch.Generator().manual_seed(self.seed))
        rows = trap_rows(negative, places, self.scale or self._fitted_scale(negative, places, known))
        mean, std = (
            torch.as_tensor(values).reshape(-1, 1, 1).expand(known.input_shape).flatten()
            for values in (known.normalisation.mean, known.normalisation.std)
        )
        return state | {f"{name}.weight": (rows * std).to(weight), f"{name}.bias": (rows @ mean).to(weight)}

    def _fitted_scale(self, negative: Tensor, places: Tensor, known: CraftingKnowledge) -> float:
        """The ``gamma`` with which public images activate the wanted share of neurons, by bisection."""
        if len(known.images) < 2:
            raise UnfitCraftingError(
                f"it needs public images, or scale; there are {len(known.images)} (adversary.public_images)"
            )
        images = to_unit(known.images[:TRIED]).flatten(1)
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            rate = float((images @ trap_rows(negative, places, middle).T > 0).float().mean())
            low, high = (middle, high) if rate < self.activation_rate else (low, middle)
        return low


def _halves(rows: int, inputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Negative weights ``(rows, inputs // 2)``, and the place in its row of every weight ``(rows, inputs)``."""
    negative = -torch.randn(rows, inputs // 2, generator=generator).abs()
    places = torch.stack([torch.randperm(inputs, generator=generator) for _ in range(rows)])
    return negative, places


def trap_rows(negative: Tensor, places: Tensor, scale: float) -> Tensor:
    """Rows ``(rows, inputs)`` of the negative weights and their scaled mirror images; an odd input gets zero.

    Args:
        negative: ``(rows, inputs // 2)``.
        places: a permutation of the inputs for every row.
        scale: ``gamma``.
    """
    rest = negative.new_zeros(len(negative), places.shape[1] - 2 * negative.shape[1])
    values = torch.cat([negative, -scale * negative, rest], dim=1)
    return torch.empty_like(values).scatter(1, places, values)
