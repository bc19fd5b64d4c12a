"""The leaked model as GIT sees it: layers with weights between points, and shortcuts from point to point.

A *point* is a tensor inside the leaked model that layers read; it is what a generator estimates (``a`` in Chen & Liu
2025, arXiv 2505.20026, Eq. 1). A *layer* reads one point; its output arrives, with others where outputs are added or
concatenated, at one or more points: the layers into and out of a point are the input and output layers of the paper's
multi-input multi-output layer. A *shortcut* carries a point unchanged into a later one.
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
        parameters: names of its parameters, those of normalisations around it, and of learned tokens and offsets.
        weight, bias: names of its own weight and bias, where it has one of each.
        input_shape, output_shape: per sample.
        source: number of the point that it reads.
        map_shape: the input's shape before it was flattened; the same where it was not.
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
        shape: per sample, as its first reader reads it.
        map_shape: the same before it was flattened.
        inputs: numbers of the layers whose outputs are added or concatenated here.
        shortcuts: numbers of earlier points that arrive here unchanged.
    """

    shape: Shape
    map_shape: Shape = field(compare=False)
    inputs: tuple[int, ...]
    shortcuts: tuple[int, ...] = ()

    @property
    def values(self) -> int:
        """Numbers per sample."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GeneratorStep:
    """One step of a generator: from the estimates behind a point to the estimate at it.

    Attributes:
        point: number of the point.
        own: layers whose gradients stand in place of ``G_W`` (Eq. 3): those that read the point.
        above: layers whose gradients stand in place of ``G_V``: those that read the points behind.
        ends: the points behind, whose estimates are known; the model's output among them.
    """

    point: int
    own: tuple[int, ...]
    above: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True)
class LayerGraph:
    """Layers in the order of the forward pass; points likewise, from the model's input (0) to its output (last)."""

    layers: tuple[Layer, ...]
    points: tuple[Point, ...]

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads what the one before it gives."""
        return all(
            layer.source == i and self.points[i + 1].inputs == (i,) and not self.points[i + 1].shortcuts
            for i, layer in enumerate(self.layers)
        )

    @property
    def last(self) -> Layer | None:
        """The linear layer that alone gives the model's output; None where it is not linear or has company."""
        output = self.points[-1]
        if len(output.inputs) != 1 or output.shortcuts:
            return None
        layer = self.layers[output.inputs[0]]
        return layer if layer.kind == "linear" and len(layer.input_shape) == 1 else None

    def readers(self, point: int) -> tuple[int, ...]:
        """Numbers of the layers that read a point."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.source == point)

    def ends(self, point: int) -> tuple[int, ...]:
        """Numbers of the points that one layer, or a shortcut, leads to from ``point``."""
        readers = set(self.readers(point))
        return tuple(
            number
            for number, behind in enumerate(self.points)
            if readers & set(behind.inputs) or point in behind.shortcuts
        )

    def steps(self) -> tuple[GeneratorStep, ...]:
        """One step per point, from the model's input to the point before its output.

        The estimate at a point takes the gradients of the layers that read it, the gradients of the layers that read
        the points behind, and the estimates there; a shortcut's end is such a point (Eq. 11). A chain gives
        ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``.
        """
        steps = []
        for number in range(len(self.points) - 1):
            own, ends = self.readers(number), self.ends(number)
            above = sorted({layer for end in ends for layer in self.readers(end)} - set(own))
            steps.append(GeneratorStep(number, own, tuple(above), ends))
        return tuple(steps)

    def cuts(self) -> tuple[int, ...]:
        """Points through which everything passes; between two of them lies a module, such as a residual block."""
        edges = [(u, v) for u in range(len(self.points)) for v in self.ends(u)]
        return tuple(p for p in range(len(self.points)) if not any(u < p < v for u, v in edges))

    def modules(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the layers between one cut and the next."""
        cuts = self.cuts()
        return tuple(
            tuple(i for i, layer in enumerate(self.layers) if first <= layer.source < behind)
            for first, behind in itertools.pairwise(cuts)
        )

    def module_steps(self) -> tuple[GeneratorStep, ...]:
        """One step per module, at the point before it (Eq. 5): all its gradients, those of the module behind."""
        cuts, modules = self.cuts(), self.modules()
        following = [*modules[1:], ()]
        return tuple(GeneratorStep(cuts[i], modules[i], following[i], (cuts[i + 1],)) for i in range(len(modules)))
