"""Models as malicious servers craft them, after the papers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

BINS = 32
INPUTS = 64


def generator(seed: int = 0) -> torch.Generator:
    """A fresh generator."""
    return torch.Generator().manual_seed(seed)


def imprint_weights(bins: int = BINS, inputs: int = INPUTS, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Fowl et al. 2022, section 3: every row measures one random direction, cut-offs are quantiles of a normal."""
    direction = torch.randn(inputs, generator=generator(seed))
    cuts = Normal(0.0, float(direction.norm())).icdf(torch.linspace(1 / (bins + 1), bins / (bins + 1), bins))
    return direction.repeat(bins, 1), -cuts


def trap_weights(rows: int = BINS, inputs: int = INPUTS, *, scale: float = 0.95, seed: int = 0) -> Tensor:
    """Boenisch et al. 2021, algorithm 1: half of each row negative, the other half their mirror image, scaled down."""
    draws = generator(seed)
    negative = -torch.randn(rows, inputs // 2, generator=draws).abs()
    positive = -scale * negative
    order = torch.stack([torch.randperm(inputs, generator=draws) for _ in range(rows)])
    return torch.cat([negative, positive], dim=1).gather(1, order)


def identity_filters(channels: int, size: int = 3) -> Tensor:
    """Convolution that copies each of its channels."""
    weight = torch.zeros(channels, channels, size, size)
    weight[range(channels), range(channels), size // 2, size // 2] = 1.0
    return weight


def network(first: Tensor, bias: Tensor | None = None) -> nn.Module:
    """A small honest network whose first layer has the given weights."""
    layer = nn.Linear(first.shape[1], first.shape[0])
    with torch.no_grad():
        layer.weight.copy_(first)
        if bias is not None:
            layer.bias.copy_(bias)
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(first.shape[0], 10))
