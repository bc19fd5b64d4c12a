"""GIT with feature maps: a generator that walks the leaked model's convolutions backwards in space."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedleak.attacks.generative.base import GenerativeAttack, TargetShape
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.generative.graph import Layer, LayerGraph
from fedleak.errors import AttackFailedError

GROUPS = 8
"""Groups of group normalisation; channel counts are multiples of it."""
MIN_CHANNELS = 16


class GitSpatial(GenerativeAttack):
    """Spatial GIT: Coarse-GIT whose estimates are feature maps, made by convolutions (ours, after arXiv 2505.20026).

    The recursion is Coarse-GIT's, ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``, but every ``a_i`` keeps its height and
    width. A gradient enters as a linearly projected map beside the estimate, and as a scale and shift of every channel
    (feature-wise modulation, Perez et al. 2018, arXiv 1709.07871), which starts at the identity: the exact
    recursion multiplies and divides by gradients, which an MLP on concatenated vectors can hardly learn. Models with
    shortcuts are walked module by module; tokens of a vision transformer lie on the grid of their patches, and its
    patch embedding, where the positions are learned, is solved in closed form first (Lu et al., arXiv 2112.14087).
    """

    solves_output_layer: ClassVar[bool] = True
    solves_embedding: ClassVar[bool] = True

    kind: Literal["git_spatial"] = "git_spatial"
    channels: int = Field(default=64, ge=MIN_CHANNELS, multiple_of=GROUPS)
    """Channels at the lowest resolution; halved with every doubling of the side, down to 16."""
    depth: int = Field(default=1, ge=0)
    """Residual convolutions after each step back."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """Convolutions mirror convolutions; the share of ``parameters`` they leave widens the projected maps."""
        layers = graph.layers
        if not graph.is_chain:
            from fedleak.attacks.generative.spatial_walk import spatial_walk  # it is made of this module's steps

            return spatial_walk(
                graph,
                features,
                target,
                parameters=self.parameters,
                channels=self.channels,
                depth=self.depth,
                dropout=self.dropout,
            )
        head = layers[-1].map_shape
        if any(len(layer.map_shape) != 3 for layer in layers) or len(layers) < 2:
            raise AttackFailedError("git_spatial needs convolutions and one linear layer at the end; try coarse_git")
        projected = 1
        fixed = _count(self._build(layers, features, target, head, projected))
        per_map = _count(self._build(layers, features, target, head, projected + 1)) - fixed
        projected += max(0, (self.parameters - fixed) // per_map)
        return self._build(layers, features, target, head, projected)

    def _build(
        self,
        layers: tuple[Layer, ...],
        features: GradientFeatures,
        target: TargetShape,
        head: tuple[int, ...],
        projected: int,
    ) -> GitSpatialNetwork:
        return GitSpatialNetwork(
            layers,
            features,
            target,
            channels=[self._channels(layer, head) for layer in layers],
            projected=projected,
            depth=self.depth,
            dropout=self.dropout,
        )

    def _channels(self, layer: Layer, head: tuple[int, ...]) -> int:
        growth = max(1.0, layer.map_shape[1] / head[1])
        wanted = self.channels / float(2 ** round(math.log2(growth)))
        return max(MIN_CHANNELS, GROUPS * int(wanted / GROUPS + 0.5))


def _count(module: nn.Module) -> int:
    return sum(int(parameter.numel()) for parameter in module.parameters())


class GitSpatialNetwork(nn.Module):
    """The generator.

    Args:
        layers: of the leaked model; all but the last are convolutions.
        features: how updates are laid out.
        target: shape of the output.
        channels: of the estimate of each layer's input.
        projected: channels of each gradient's projected map.
        depth: residual convolutions per step.
        dropout: on the gradients.
    """

    def __init__(
        self,
        layers: tuple[Layer, ...],
        features: GradientFeatures,
        target: TargetShape,
        *,
        channels: list[int],
        projected: int,
        depth: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self._widths = features.widths
        self._solved = features.output.inputs if features.output else 0
        self._head = layers[-1].map_shape
        self._shape = (target.images, *target.image)
        self.dropout = nn.Dropout(dropout)
        # Without a bias the last layer's input is estimated from its weight gradient.
        self.bootstrap = None if self._solved else nn.Linear(self._widths[-1], math.prod(self._head))
        incoming = [*channels[1:-1], self._head[0]]
        self.steps = nn.ModuleList(
            StepBack(
                gradient=self._widths[i],
                above=self._widths[i + 1],
                incoming=incoming[i],
                outgoing=channels[i],
                source=layers[i + 1].map_shape,
                side=layers[i].map_shape,
                projected=projected,
                depth=depth,
            )
            for i in range(len(layers) - 1)
        )
        self.picture = nn.Conv2d(channels[0], target.images * target.image[0], 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        *gradients, solved = torch.split(features, [*self._widths, self._solved], dim=1)
        gradients = [self.dropout(gradient) for gradient in gradients]
        head = solved if self.bootstrap is None else self.bootstrap(gradients[-1])
        estimate = head.reshape(len(features), *self._head)
        for i in reversed(range(len(self.steps))):
            estimate = self.steps[i](estimate, gradients[i], gradients[i + 1])
        return torch.sigmoid(self.picture(F.gelu(estimate))).reshape(len(features), *self._shape)


class StepBack(nn.Module):
    """From the estimate of a convolution's output to that of its input.

    Args:
        gradient, above: features of this layer's gradient and of the one behind it.
        incoming, outgoing: channels of the two estimates.
        source, side: shapes ``(C, H, W)`` of the maps that the estimates stand for.
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
    """Whole factor by which a map must grow; what remains is interpolated."""
    return max(1, min(side[0] // source[0], side[1] // source[1]))


def _zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """Start as the zero function."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
