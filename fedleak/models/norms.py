"""Normalisation layers by name, for architectures where normalisation is optional."""

from __future__ import annotations

from typing import Literal

from torch import nn

NormName = Literal["none", "batch", "group"]


def norm(name: NormName, channels: int) -> nn.Module:
    """A normalisation layer for maps with ``channels`` channels; groups hold at least four channels."""
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "group":
        groups = (g for g in range(1, 9) if channels % g == 0 and (g == 1 or channels // g >= 4))
        return nn.GroupNorm(max(groups), channels)
    return nn.Identity()
