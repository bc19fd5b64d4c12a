"""AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.client.optimizer.adam import AdamFamily, adam_step
from fedleak.tensors import Tensors


class AdamW(AdamFamily):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101), as ``torch.optim.AdamW``."""

    kind: Literal["adamw"] = "adamw"
    torch_class = torch.optim.AdamW
    weight_decay: float = Field(default=0.01, ge=0, le=limits.RATE)
    """Share of all parameters, times the learning rate, that every step takes off."""

    def step(
        self, parameters: Tensors, gradient: Tensors, state: Mapping[str, Tensors], *, rate: float, number: int
    ) -> tuple[Tensors, Mapping[str, Tensors]]:
        """One step; the state is that of Adam."""
        shrunk = {name: p * (1 - rate * self.weight_decay) for name, p in parameters.items()}
        return adam_step(shrunk, gradient, state, rate=rate, number=number, settings=self)
