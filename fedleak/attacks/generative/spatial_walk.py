"""Spatial GIT for residual networks and vision transformers: one step per module of the leaked model's graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.attacks.generative.base import TargetShape
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.generative.step_back import StepBack, channels_at
from fedleak.attacks.layers.graph import GeneratorStep, LayerGraph, Point
from fedleak.errors import AttackFailedError

Map = tuple[int, int, int]
PROJECTED = 8
"""Channels of the map onto which a module's gradients are projected."""
SMALLEST_CODE, LARGEST_CODE = 4, 1024
LARGEST_FACTOR = 2
"""Maps that must grow by more than this factor in one step are first enlarged by nearest-neighbour interpolation."""


@dataclass(frozen=True)
class WalkShape:
    """The parts of the generator.

    Attributes:
        steps: modules of the leaked model, from the image to the output.
        maps: point -> ``(C, H, W)`` of the leaked model's tensor there; tokens lie on the grid of their patches.
        channels: point -> channels of the estimate there.
        code: length of the code to which each layer's gradient is reduced.
        depth: residual convolutions per step.
    """

    steps: tuple[GeneratorStep, ...]
    maps: dict[int, Map]
    channels: dict[int, int]
    code: int
    depth: int


def spatial_walk(
    graph: LayerGraph,
    features: GradientFeatures,
    target: TargetShape,
    *,
    parameters: int,
    channels: int,
    depth: int,
    dropout: float,
) -> SpatialWalk:
    """The generator with the longest codes that ``parameters`` allow.

    Raises:
        AttackFailedError: if a tensor between modules is neither a feature map nor a grid of tokens.
    """
    steps = graph.module_steps()
    maps = {step.point: grid_of(graph, graph.points[step.point]) for step in steps}
    sides = [shape[1] for shape in maps.values() if shape[1] > 1]
    if not sides or len(steps) < 2:
        raise AttackFailedError("git_spatial needs convolutions or patches; try git_coarse")
    widths = {point: channels_at(channels, shape[1] / min(sides)) for point, shape in maps.items()}

    def build(code: int) -> SpatialWalk:
        return SpatialWalk(features, target, WalkShape(steps, maps, widths, code, depth), dropout=dropout)

    low, high = SMALLEST_CODE, LARGEST_CODE
    while low < high:
        middle = (low + high + 1) // 2
        with torch.device("meta"):
            fits = sum(p.numel() for p in build(middle).parameters()) <= parameters
        low, high = (middle, high) if fits else (low, middle - 1)
    return build(low)


def grid_of(graph: LayerGraph, point: Point) -> Map:
    """``(C, H, W)`` of the tensor at a point: a map, tokens ``(T, D)`` on the grid of their patches, or a vector.

    Raises:
        AttackFailedError: for any other shape.
    """
    shape = point.map_shape
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 1:
        return shape[0], 1, 1
    for layer in graph.layers:
        if layer.kind == "patch_embedding" and len(shape) == 2:
            rows, columns = layer.output_shape[1:]
            if shape[0] == rows * columns + layer.offset_start:
                return shape[1], rows, columns
    raise AttackFailedError(f"git_spatial cannot arrange a tensor of shape {shape} as a map; try git_coarse")


class SpatialWalk(nn.Module):
    """The generator of Spatial GIT for models with shortcuts.

    Every layer's gradient is reduced to a code. The codes of a module enter its step as in a chain, together with the
    codes of the following module and a summary of all codes. If the patch embedding's input is solved in closed form,
    the output of the generator is a correction to it.

    Args:
        features: layout of the features.
        target: shape of the output.
        shape: the parts.
        dropout: on the gradients.
    """

    def __init__(self, features: GradientFeatures, target: TargetShape, shape: WalkShape, *, dropout: float) -> None:
        super().__init__()
        self._splits = [*features.widths, features.solved, features.embedded]
        self._shape, self._target = shape, target
        self.dropout = nn.Dropout(dropout)
        self.codes = nn.ModuleList(nn.Linear(width, shape.code) for width in features.widths)
        self.summary = nn.Sequential(
            nn.Linear(len(features.widths) * shape.code, shape.code), nn.LayerNorm(shape.code), nn.GELU()
        )
        head = shape.maps[shape.steps[-1].point]
        self.head = None if features.solved == math.prod(head) else nn.Linear(shape.code, math.prod(head))
        self.steps = nn.ModuleList(self._step(i) for i in range(len(shape.steps) - 1))
        self.picture = nn.Conv2d(shape.channels[0], target.images * target.image[0], 3, padding=1)
        self.solved_scale: nn.Parameter | None = None
        if features.embedded:
            nn.init.zeros_(self.picture.weight)
            self.solved_scale = nn.Parameter(torch.full((target.images, *target.image), 0.25))
            self.solved_shift = nn.Parameter(torch.full((target.images, *target.image), 0.5))

    def _step(self, number: int) -> StepBack:
        shape = self._shape
        step = shape.steps[number]
        above = shape.steps[number + 1]
        incoming = shape.maps[above.point]
        return StepBack(
            gradient=len(step.own) * shape.code,
            above=(len(step.above) + 1) * shape.code,
            incoming=incoming[0] if number == len(shape.steps) - 2 else shape.channels[above.point],
            outgoing=shape.channels[step.point],
            source=(incoming[0], *self._source(number)),
            side=shape.maps[step.point],
            projected=PROJECTED,
            depth=shape.depth,
        )

    def _source(self, number: int) -> tuple[int, int]:
        """Height and width at which the estimate enters a step."""
        shape = self._shape
        side, behind = shape.maps[shape.steps[number].point], shape.maps[shape.steps[number + 1].point]
        return side[1:] if max(side[1] / behind[1], side[2] / behind[2]) > LARGEST_FACTOR else behind[1:]

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        *gradients, solved, embedded = torch.split(features, self._splits, dim=1)
        codes = [code(self.dropout(g)) for code, g in zip(self.codes, gradients, strict=True)]
        summary = self.summary(torch.cat(codes, dim=1))
        estimate = (solved if self.head is None else self.head(summary)).reshape(len(features), *self._head)
        for i in reversed(range(len(self.steps))):
            step = self._shape.steps[i]
            source = self._source(i)
            if tuple(estimate.shape[2:]) != source:
                estimate = F.interpolate(estimate, size=source, mode="nearest")
            own = torch.cat([codes[number] for number in step.own], dim=1)
            above = torch.cat([*(codes[number] for number in step.above), summary], dim=1)
            estimate = self.steps[i](estimate, own, above)
        picture: Tensor = self.picture(F.gelu(estimate))
        picture = picture.reshape(len(features), self._target.images, *self._target.image)
        if self.solved_scale is None:
            return picture.sigmoid()
        known = embedded.reshape(len(features), 1, *self._target.image) * self.solved_scale + self.solved_shift
        return (known + picture).clamp(0, 1)

    @property
    def _head(self) -> Map:
        return self._shape.maps[self._shape.steps[-1].point]
