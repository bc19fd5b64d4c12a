"""Class fishing: only images of one class have a gradient below the last layer."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from fedleak import limits
from fedleak.models.front import last_linear_layer
from fedleak.server.crafting.base import Crafting, CraftingKnowledge, UnfitCraftingError
from fedleak.tensors import NamedTensors


class ClassFishingCrafting(Crafting):
    """Class fishing: the last layer silences all classes but one (Wen et al. 2022, arXiv 2202.00580).

    In the last layer the row of the target class stays, all others become zero, with a bias that is large against
    every logit. Then ``p_target = 0`` and the others share the probability: an image of another class has the gradient
    ``sum_j (p_j - y_j) W_j = 0`` with respect to the layer's inputs, one of the target class ``-W_target``. Below the
    last layer, the gradient of a batch is that of its images of the target class, divided by the size of the batch.
    """

    kind: Literal["class_fishing"] = "class_fishing"
    target: int = Field(default=0, ge=0, lt=limits.CLASSES)
    """Number of the class that is fished for, from 0."""
    bias: float = Field(default=1000.0, gt=0, le=limits.RATE)
    """Bias of all other classes."""

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        """Replace the rows and biases of the other classes."""
        if self.target >= known.classes:
            raise UnfitCraftingError(f"target {self.target}: the data set has classes 0 to {known.classes - 1}")
        try:
            name = last_linear_layer(model, outputs=known.classes)
        except ValueError as error:
            raise UnfitCraftingError(str(error)) from error
        state = dict(model.state_dict())
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        rows, biases = torch.zeros_like(weight), torch.full_like(bias, self.bias)
        rows[self.target], biases[self.target] = weight[self.target], bias[self.target]
        return state | {f"{name}.weight": rows, f"{name}.bias": biases}
