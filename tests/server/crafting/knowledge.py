"""What the malicious servers of these tests know."""

from __future__ import annotations

import torch
from torch import Tensor

from fedleak.examples import InputShape, Normalisation
from fedleak.server.crafting.base import CraftingKnowledge

HALF = 0.5


def known(
    *, images: int = 400, shape: InputShape = (1, 8, 8), classes: int = 10, std: float = HALF, seed: int = 0
) -> CraftingKnowledge:
    """Public images of smooth random brightness, normalised with mean 0.5."""
    return CraftingKnowledge(
        shape,
        classes,
        Normalisation((HALF,) * shape[0], (std,) * shape[0]),
        (255 * smooth(images, shape, seed=seed)).round().byte(),
        torch.arange(images) % classes,
    )


def smooth(count: int, shape: InputShape, *, seed: int) -> Tensor:
    """Images ``(count, *shape)`` in [0, 1]: each has a brightness of its own, and noise around it."""
    draws = torch.Generator().manual_seed(seed)
    brightness = torch.rand(count, *(1 for _ in shape), generator=draws)
    return (brightness + 0.3 * torch.rand(count, *shape, generator=draws)) / 1.3
