"""LOKI: an imprint module whose copies of the image tell clients apart in the sum of their updates."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fedleak.models.base import Model
from fedleak.models.imprinted import Imprinted, ImprintedNetwork
from fedleak.server.crafting.base import CraftingKnowledge, UnfitCraftingError
from fedleak.server.crafting.imprint import ImprintCrafting
from fedleak.tensors import NamedTensors


class LokiCrafting(ImprintCrafting):
    """LOKI: client-specific kernels in front of an imprint module (Zhao et al. 2023, arXiv 2303.12233).

    A 1x1 convolution makes one copy of the image for every client of the federation. Client ``k`` is sent kernels that
    pass its image to copy ``k`` and zero to all others, so that the gradient of the module's columns of copy ``k`` is
    that of client ``k`` alone, also in a securely aggregated sum. All clients share the units, bins of the image's mean
    brightness. Ours, where the paper is silent: the kernels undo the normalisation, so that copies hold pixels in
    [0, 1], and the bins' cuts give the scale of an image, since the clients' bias gradients are summed.
    """

    kind: Literal["loki"] = "loki"  # type: ignore[assignment]
    tells_clients_apart: ClassVar[bool] = True

    functional: Literal["mean"] = "mean"
    """Mean of the image's pixels."""

    def declare(self, model: Model, *, clients: int) -> Model:
        """The scenario's network behind the module, with a copy of the image for every client."""
        return Imprinted(inner=model, bins=self.bins, activation=self.activation, groups=clients)

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        """Fill the module, with the client's own kernels."""
        if not isinstance(model, ImprintedNetwork) or not isinstance(model.imprint.copies, nn.Conv2d):
            raise UnfitCraftingError("the clients were not told of an imprint module with copies")
        pixels = known.normalisation.undo(known.inputs).flatten(1)
        functional = self.direction(pixels.shape[1])
        weight, bias = self.rows(functional, self.cut_values(pixels.double() @ functional))
        state = dict(model.state_dict())
        kernels, shifts = client_kernels(state["imprint.copies.weight"], known, client)
        measure = state["imprint.measure.weight"]
        return state | {
            "imprint.copies.weight": kernels,
            "imprint.copies.bias": shifts,
            "imprint.measure.weight": weight.repeat(1, measure.shape[1] // pixels.shape[1]).to(measure),
            "imprint.measure.bias": bias.to(measure),
            "imprint.carry.weight": torch.full_like(state["imprint.carry.weight"], self.carried),
            "imprint.carry.bias": torch.zeros_like(state["imprint.carry.bias"]),
        }


def client_kernels(kernels: Tensor, known: CraftingKnowledge, client: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of the 1x1 convolution that passes pixels in [0, 1] to one client's copy, and zero to others.

    Args:
        kernels: the honest weight, ``(groups * C, C, 1, 1)``.
        client: partition id, the number of the copy.
    """
    channels = kernels.shape[1]
    mean, std = (
        torch.as_tensor(values, dtype=kernels.dtype).expand(channels)
        for values in (known.normalisation.mean, known.normalisation.std)
    )
    weight, bias = torch.zeros_like(kernels), torch.zeros_like(kernels[:, 0, 0, 0])
    own = torch.arange(client * channels, (client + 1) * channels)
    weight[own, torch.arange(channels), 0, 0] = std.to(kernels)
    bias[own] = mean.to(kernels)
    return weight, bias
