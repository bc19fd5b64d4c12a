"""One step of spatial GIT: from the estimate of a layer's output to the estimate of its input."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8
"""Groups of group normalisation; channel counts are multiples of it."""
MIN_CHANNELS = 16


def channels_at(lowest: int, growth: float) -> int:
    """Channels of a map whose side is ``growth`` times that of the smallest map.

    The smallest map has ``lowest`` channels; they are halved with each doubling of the side, rounded to a multiple of
    ``GROUPS``, and at least ``MIN_CHANNELS``.
    """
    wanted = lowest / float(2 ** round(math.log2(max(1.0, growth))))
    return max(MIN_CHANNELS, GROUPS * int(wanted / GROUPS + 0.5))


class StepBack(nn.Module):
    """Network from the estimate of a convolution's output to the estimate of its input.

    Args:
        gradient, above: number of features of this layer's gradient and of the following layer's.
        incoming, outgoing: channels of the two estimates.
        source, side: shapes ``(C, H, W)`` of the maps that are estimated.
        projected: channels of the gradient's projected map.
        depth: residual convolutions.
    """

    def __init__(
        self,
        *,
        gradient: int,
        above: int,
        incoming: int,
        outgoing: int,
        source: tuple[int, ...],
        side: tuple[int, ...],
        projected: int,
        depth: int,
    ) -> None:
        super().__init__()
        self._map = (projected, *source[1:])
        self._side = side[1:]
        self.project = nn.Linear(gradient, math.prod(self._map))
        self.modulate = _zeroed(nn.Linear(gradient + above, 2 * outgoing))
        self.enter = nn.Conv2d(incoming + projected, outgoing, 3, padding=1)
        self._factor = _factor(source[1:], self._side)
        self.enlarge = nn.Conv2d(outgoing, outgoing * self._factor**2, 3, padding=1) if self._factor > 1 else None
        self.refine = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(GROUPS, outgoing), nn.GELU(), _zeroed(nn.Conv2d(outgoing, outgoing, 3, padding=1))
            )
            for _ in range(depth)
        )

    def forward(self, estimate: Tensor, gradient: Tensor, above: Tensor) -> Tensor:
        """Estimate ``(n, incoming, h, w)`` and two gradients ``(n, ...)`` -> ``(n, outgoing, H, W)``."""
        projected = self.project(gradient).reshape(len(gradient), *self._map)
        hidden: Tensor = self.enter(torch.cat([estimate, projected], dim=1))
        scale, shift = self.modulate(torch.cat([gradient, above], dim=1))[:, :, None, None].chunk(2, dim=1)
        hidden = hidden * (1 + scale) + shift
        if self.enlarge is not None:
            hidden = F.pixel_shuffle(self.enlarge(F.gelu(hidden)), self._factor)
        if hidden.shape[2:] != torch.Size(self._side):
            hidden = F.interpolate(hidden, size=self._side, mode="bilinear", align_corners=False)
        for block in self.refine:
            hidden = hidden + block(hidden)
        return hidden


def _factor(source: tuple[int, ...], side: tuple[int, ...]) -> int:
    """Integer factor by which a map is enlarged; the rest is interpolated."""
    return max(1, min(side[0] // source[0], side[1] // source[1]))


def _zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weight and bias set to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
