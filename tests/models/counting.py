"""Counting weights without drawing any."""

from __future__ import annotations

import torch

from fedleak.examples import InputShape
from fedleak.models.base import Model


def parameters(model: Model, shape: InputShape = (3, 32, 32), classes: int = 10) -> int:
    """Number of parameters."""
    with torch.device("meta"):
        return sum(p.numel() for p in model.module(shape, classes).parameters())
