"""The leaked model as a graph for GIT: layers with weights between points, and shortcuts from point to point.

A *point* is a tensor inside the leaked model that layers read; a generator estimates it (``a`` in Chen & Liu 2025,
arXiv 2505.20026, Eq. 1). A *layer* reads one point; its output enters one or more points, added or concatenated with
the outputs of other layers. The layers into and out of a point are the input and output layers of the paper's
multi-input multi-output layer. A *shortcut* carries a point unchanged into a later point.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Literal

Shape = tuple[int, ...]
LayerKind = Literal["linear", "convolution", "patch_embedding", "attention"]


@dataclass(frozen=True)
class Layer:
    """One layer with weights.

    Attributes:
        name: module path in the leaked model.
        kind: what it computes; a patch embedding is a convolution whose stride is its kernel.
        parameters: names of its parameters, of the adjacent normalisations, and of learned tokens and offsets.
        weight, bias: names of its weight and bias; None if it does not have one.
        input_shape, output_shape: per sample.
        source: number of the point that it reads.
        map_shape: shape of the input before flattening; equal to the input's shape if it was not flattened.
        offset: name of a learned offset ``(1, T, D)`` added to its output, such as a position embedding.
        offset_start: row of the offset that belongs to the first token of this layer; learned tokens come before.
    """

    name: str
    kind: LayerKind
    parameters: tuple[str, ...]
    weight: str | None
    bias: str | None
    input_shape: Shape
    output_shape: Shape
    source: int
    map_shape: Shape = field(default=(), compare=False)
    offset: str | None = None
    offset_start: int = 0


@dataclass(frozen=True)
class Point:
    """A tensor that layers read.

    Attributes:
        shape: per sample, as read by the first layer.
        map_shape: the same before flattening.
        inputs: numbers of the layers whose outputs are added or concatenated here.
        shortcuts: numbers of earlier points that enter here unchanged.
    """

    shape: Shape
    map_shape: Shape = field(compare=False)
    inputs: tuple[int, ...]
    shortcuts: tuple[int, ...] = ()

    @property
    def values(self) -> int:
        """Number of values per sample."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GeneratorStep:
    """One step of a generator: from the estimates at the following points to the estimate at a point.

    Attributes:
        point: number of the point.
        own: layers whose gradients take the role of ``G_W`` (Eq. 3): those that read the point.
        above: layers whose gradients take the role of ``G_V``: those that read the following points.
        ends: the following points, whose estimates are known; they may include the model's output.
    """

    point: int
    own: tuple[int, ...]
    above: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True)
class LayerGraph:
    """Layers and points in the order of the forward pass; the first point is the model's input, the last its output."""

    layers: tuple[Layer, ...]
    points: tuple[Point, ...]

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads exactly the output of the previous layer."""
        return all(
            layer.source == i and self.points[i + 1].inputs == (i,) and not self.points[i + 1].shortcuts
            for i, layer in enumerate(self.layers)
        )

    @property
    def last(self) -> Layer | None:
        """The linear layer that produces the model's output; None if that is not a single linear layer."""
        output = self.points[-1]
        if len(output.inputs) != 1 or output.shortcuts:
            return None
        layer = self.layers[output.inputs[0]]
        return layer if layer.kind == "linear" and len(layer.input_shape) == 1 else None

    def readers(self, point: int) -> tuple[int, ...]:
        """Numbers of the layers that read a point."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.source == point)

    def ends(self, point: int) -> tuple[int, ...]:
        """Numbers of the points reached from ``point`` by one layer or a shortcut."""
        readers = set(self.readers(point))
        return tuple(
            number
            for number, behind in enumerate(self.points)
            if readers & set(behind.inputs) or point in behind.shortcuts
        )

    def steps(self) -> tuple[GeneratorStep, ...]:
        """One step per point, from the model's input to the point before its output.

        The estimate at a point uses the gradients of the layers that read it, the gradients of the layers that read the
        following points, and the estimates at these points; the end of a shortcut is such a point (Eq. 11). A chain
        gives ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``.
        """
        steps = []
        for number in range(len(self.points) - 1):
            own, ends = self.readers(number), self.ends(number)
            above = sorted({layer for end in ends for layer in self.readers(end)} - set(own))
            steps.append(GeneratorStep(number, own, tuple(above), ends))
        return tuple(steps)

    def cuts(self) -> tuple[int, ...]:
        """Points through which all paths pass; between two of them lies a module, such as a residual block."""
        edges = [(u, v) for u in range(len(self.points)) for v in self.ends(u)]
        return tuple(p for p in range(len(self.points)) if not any(u < p < v for u, v in edges))

    def modules(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the layers between consecutive cuts."""
        cuts = self.cuts()
        return tuple(
            tuple(i for i, layer in enumerate(self.layers) if first <= layer.source < behind)
            for first, behind in itertools.pairwise(cuts)
        )

    def module_steps(self) -> tuple[GeneratorStep, ...]:
        """One step per module, at its input point (Eq. 5): uses its gradients and those of the following module."""
        cuts, modules = self.cuts(), self.modules()
        following = [*modules[1:], ()]
        return tuple(GeneratorStep(cuts[i], modules[i], following[i], (cuts[i + 1],)) for i in range(len(modules)))
