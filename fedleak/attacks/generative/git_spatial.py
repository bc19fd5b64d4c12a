"""Spatial GIT: a generator that inverts the leaked model's layers in turn and estimates feature maps."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.generative.base import GenerativeAttack, TargetShape
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.generative.spatial_walk import spatial_walk
from fedleak.attacks.generative.step_back import GROUPS, MIN_CHANNELS, StepBack, channels_at
from fedleak.attacks.layers.graph import Layer, LayerGraph
from fedleak.errors import AttackFailedError


class GitSpatial(GenerativeAttack):
    """Spatial GIT: Coarse-GIT that estimates feature maps with convolutions (ours, after arXiv 2505.20026).

    The recursion is that of Coarse-GIT, ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``, but every ``a_i`` keeps its
    height and width. A gradient enters as a linearly projected map concatenated with the estimate, and as a scale and
    shift of every channel (feature-wise modulation, Perez et al. 2018, arXiv 1709.07871), initialised to the identity:
    the exact recursion multiplies and divides by gradients, which an MLP on concatenated vectors can hardly learn.
    Models with shortcuts are processed module by module. Tokens of a vision transformer lie on the grid of their
    patches; a patch embedding with learned positions is first solved in closed form (Lu et al., arXiv 2112.14087).

    Fails on updates unlike its pairs, as ``git_coarse`` does, and gains nothing where a network keeps no feature maps.
    """

    solves_output_layer: ClassVar[bool] = True
    solves_embedding: ClassVar[bool] = True

    kind: Literal["git_spatial"] = "git_spatial"
    channels: int = Field(default=64, ge=MIN_CHANNELS, le=limits.WIDTH, multiple_of=GROUPS)
    """Channels at the lowest resolution; halved with every doubling of the side, down to 16."""
    depth: int = Field(default=1, ge=0, le=limits.LAYERS)
    """Residual convolutions after each step."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """The generator, which mirrors the leaked convolutions; remaining ``parameters`` widen the projected maps."""
        layers = graph.layers
        if not graph.is_chain:
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
            raise AttackFailedError("git_spatial needs convolutions and one linear layer at the end; try git_coarse")
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
            channels=[channels_at(self.channels, layer.map_shape[1] / head[1]) for layer in layers],
            projected=projected,
            depth=self.depth,
            dropout=self.dropout,
        )


def _count(module: nn.Module) -> int:
    return sum(int(parameter.numel()) for parameter in module.parameters())


class GitSpatialNetwork(nn.Module):
    """The generator of Spatial GIT for chains.

    Args:
        layers: of the leaked model; all but the last are convolutions.
        features: layout of the features.
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
        # Without a bias, the last layer's input is estimated from its weight gradient.
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
