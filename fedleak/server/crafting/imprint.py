"""Imprint module: bins of a linear functional of the image, in front of any network."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.models.base import Model
from fedleak.models.imprinted import Imprinted, ImprintedNetwork, ModuleActivation
from fedleak.server.crafting.base import Crafting, CraftingKnowledge, UnfitCraftingError
from fedleak.tensors import NamedTensors


class ImprintCrafting(Crafting):
    """Imprint module: every unit measures one functional of the image (Fowl et al. 2022, arXiv 2110.13057).

    Clients are sent the network behind a module ``x + v sum_i s(W_i x + b_i)`` in which all rows ``W_i`` are one
    functional ``w`` and ``b_i = -c_i`` cut its values into bins (section 3): with ``relu``, unit ``i`` is active for
    images with ``w x >= c_i``, and all active units get the same gradient, so the difference of two neighbours'
    gradients is that of the images in one bin. With ``hard_tanh`` (their variant for local steps) a unit is active for
    the images of its own bin only. The cuts ``c_i`` are quantiles of ``w x`` over the adversary's public images.
    """

    kind: Literal["imprint"] = "imprint"
    uses_public_data: ClassVar[bool] = True

    bins: int = Field(default=256, ge=2, le=limits.WIDTH)
    """Units of the module: one bin each."""
    activation: ModuleActivation = "relu"
    """``relu``: cumulative bins; ``hard_tanh``: separate ones, for clients that train locally."""
    functional: Literal["mean", "random"] = "mean"
    """Mean of the image's values, or a random direction."""
    cuts: Literal["empirical", "normal"] = "empirical"
    """Quantiles of the public images themselves, or of the normal distribution with their mean and variance."""
    gain: float = Field(default=1e-2, gt=0, le=limits.RATE)
    """Size of what the module adds to an image, which changes no gradient of the module (``relu`` only)."""
    amplitude: float = Field(default=1.0, gt=0, le=limits.RATE)
    """Factor ``v`` of all gradients of the module; larger ones survive rounding, as of secure aggregation."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Seed of the random direction, which is the same for all clients."""

    def declare(self, model: Model, *, clients: int) -> Model:
        """The scenario's network behind the module."""
        return Imprinted(inner=model, bins=self.bins, activation=self.activation)

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        """Fill the module; the network behind it stays as it is."""
        if not isinstance(model, ImprintedNetwork):
            raise UnfitCraftingError("the clients were not told of an imprint module")
        inputs = known.inputs.flatten(1)
        functional = self.direction(inputs.shape[1])
        cuts = self.cut_values(inputs.double() @ functional)
        weight, bias = self.rows(functional, cuts)
        state = dict(model.state_dict())
        return state | {
            "imprint.measure.weight": weight.to(state["imprint.measure.weight"]),
            "imprint.measure.bias": bias.to(state["imprint.measure.bias"]),
            "imprint.carry.weight": torch.full_like(state["imprint.carry.weight"], self.carried),
            "imprint.carry.bias": torch.zeros_like(state["imprint.carry.bias"]),
        }

    @property
    def carried(self) -> float:
        """Weight with which every unit is added to the image; the sum of separate, flat units must stay bounded."""
        return self.amplitude if self.activation == "relu" else self.amplitude / self.bins

    def direction(self, size: int) -> Tensor:
        """The functional ``w``, ``(size,)``, double precision."""
        if self.functional == "mean":
            return torch.full((size,), 1 / size, dtype=torch.float64)
        draws = torch.Generator().manual_seed(self.seed)
        return torch.randn(size, generator=draws, dtype=torch.float64) / size

    def cut_values(self, values: Tensor) -> Tensor:
        """Lower ends of the bins ``(bins + 1,)``, rising; the last one ends the highest bin.

        Args:
            values: of the functional over the public images, ``(N,)``.
        """
        levels = torch.arange(1, self.bins, dtype=values.dtype) / self.bins
        if self.cuts == "normal":
            inner = values.mean() + values.std() * torch.special.ndtri(levels)
        else:
            inner = torch.quantile(values, levels)
        reach = values.max() - values.min() + values.std()
        ends = torch.cat([(inner[:1] - reach), inner, (inner[-1:] + reach)])
        if not (ends.diff() > 0).all():
            raise UnfitCraftingError(
                f"{len(values)} public images give {self.bins} bins of which some are empty: take cuts: normal, fewer "
                f"bins, or more adversary.public_images"
            )
        return ends

    def rows(self, functional: Tensor, cuts: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``(bins, size)`` and bias ``(bins,)`` of the linear layer."""
        if self.activation == "relu":
            slope = torch.full((self.bins,), self.gain / self.bins, dtype=cuts.dtype)
        else:
            slope = 1 / cuts.diff()
        return slope[:, None] * functional, -slope * cuts[:-1]
