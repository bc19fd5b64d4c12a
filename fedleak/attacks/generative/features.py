"""Input features of a generator: one standardised vector per layer of an update.

Raw gradients differ by orders of magnitude between layers and samples. Each update is divided by the norm of the
gradient of the last bias (or of the whole update if there is none), wide layers are reduced to a fixed width by
feature hashing (Weinberger et al. 2009, arXiv 0902.2206), and every coordinate is standardised with statistics of
the adversary's own training pairs. Victims' updates never enter the statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedleak import seeds
from fedleak.attacks.layers.patch_embedding import EmbeddingLayer
from fedleak.threat import InjectedPairs
from fedleak.transcript.layout import Layout

CLIP = 8.0
"""Standardised values are clipped to +-CLIP, so that one outlier after a model update cannot saturate a generator."""
EPSILON = 1e-12
CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class LayerColumns:
    """Columns of a flat update that belong to one layer, and their feature hash.

    Attributes:
        columns: half-open ranges of the flat update.
        bins, signs: of the feature hash, ``(width of the layer,)``; None if the layer is narrow enough.
        width: values per update after hashing.
    """

    columns: tuple[tuple[int, int], ...]
    bins: Tensor | None
    signs: Tensor | None
    width: int

    def select(self, updates: Tensor) -> Tensor:
        """Flat updates ``(n, D)`` -> ``(n, width)``."""
        values: Tensor = torch.cat([updates[:, start:stop] for start, stop in self.columns], dim=1)
        if self.bins is None or self.signs is None:
            return values
        folded: Tensor = torch.zeros(len(values), self.width, dtype=values.dtype, device=values.device)
        folded.index_add_(1, self.bins.to(values.device), values * self.signs.to(values.device))
        return folded


@dataclass(frozen=True)
class OutputLayer:
    """Location of weight ``(classes, inputs)`` and bias ``(classes,)`` of the last layer in a flat update.

    They give the layer's input in closed form: ``G_W = d a^T`` and ``G_b = d``, so ``a = G_W^T d / ||d||^2``, exact
    for one image and a weighted mean over a batch (Chen & Liu 2025, arXiv 2505.20026, section 4, bootstrap). The common
    factor of a weight delta cancels.
    """

    weight: tuple[int, int]
    bias: tuple[int, int]

    @property
    def inputs(self) -> int:
        """Width of the layer's input."""
        return (self.weight[1] - self.weight[0]) // (self.bias[1] - self.bias[0])

    def solve(self, updates: Tensor) -> Tensor:
        """Flat updates ``(n, D)`` -> input of the last layer ``(n, inputs)``."""
        d = updates[:, slice(*self.bias)]
        weight = updates[:, slice(*self.weight)].reshape(len(updates), d.shape[1], self.inputs)
        return torch.einsum("nci,nc->ni", weight, d) / d.square().sum(dim=1, keepdim=True).clamp_min(EPSILON**2)


def layer_columns(
    layout: Layout, layers: Sequence[Sequence[str]], *, max_width: int, seed: int
) -> tuple[LayerColumns, ...]:
    """Columns of each layer, given the names of its parameters; a frozen layer has none."""
    slots = {slot.name: slot for slot in layout.slots}
    result = []
    for i, names in enumerate(layers):
        columns = tuple((slots[n].start, slots[n].stop) for n in names if n in slots) or ((0, 0),)
        width = sum(stop - start for start, stop in columns)
        if width <= max_width:
            result.append(LayerColumns(columns, None, None, width))
            continue
        generator = seeds.torch_generator(seed, "feature-hash", i)
        bins = torch.randint(max_width, (width,), generator=generator)
        signs = torch.randint(2, (width,), generator=generator).to(torch.float32) * 2 - 1
        result.append(LayerColumns(columns, bins, signs, max_width))
    return tuple(result)


@dataclass(frozen=True)
class GradientFeatures:
    """The map from a flat update to a generator's input.

    Attributes:
        layers: columns of each layer.
        scale_columns: range of the last bias; None to scale by the norm of the whole update.
        output: if set, the closed-form input of this layer is appended.
        embedding: if set, the closed-form input of the patch embedding is appended last.
        mean, std: of the concatenated features, ``(size,)``; empty before they are fitted.
        plain: values as they are: hashed, but neither scaled nor standardised.
    """

    layers: tuple[LayerColumns, ...]
    scale_columns: tuple[int, int] | None
    output: OutputLayer | None = None
    embedding: EmbeddingLayer | None = None
    mean: Tensor = field(default_factory=lambda: torch.zeros(0))
    std: Tensor = field(default_factory=lambda: torch.zeros(0))
    plain: bool = False

    @property
    def widths(self) -> list[int]:
        """Number of features of each layer."""
        return [layer.width for layer in self.layers]

    @property
    def size(self) -> int:
        """Total number of features of one update."""
        return sum(self.widths) + self.solved + self.embedded

    @property
    def solved(self) -> int:
        """Number of features that hold the last layer's input."""
        return self.output.inputs if self.output else 0

    @property
    def embedded(self) -> int:
        """Number of features that hold the patch embedding's input."""
        return self.embedding.values if self.embedding else 0

    def raw(self, updates: Tensor) -> Tensor:
        """Features before standardisation: ``(n, D)`` -> ``(n, size)``.

        Each update is scaled to unit norm of its last bias (or of itself) and hashed; the closed-form inputs follow.
        """
        reference = updates[:, slice(*self.scale_columns)] if self.scale_columns else updates
        norm = torch.linalg.vector_norm(reference, dim=1, keepdim=True).clamp_min(EPSILON)
        values: Tensor = torch.cat([layer.select(updates) for layer in self.layers], dim=1)
        values = values if self.plain else values / norm
        solved = [layer.solve(updates) for layer in (self.output, self.embedding) if layer is not None]
        return torch.cat([values, *solved], dim=1) if solved else values

    def __call__(self, updates: Tensor) -> Tensor:
        """Flat updates ``(n, D)`` -> standardised features ``(n, size)``."""
        if self.plain:
            return self.raw(updates)
        standard: Tensor = (self.raw(updates) - self.mean.to(updates.device)) / self.std.to(updates.device)
        return standard.clamp(-CLIP, CLIP)


def chunks(rows: NDArray[np.int64], values: int) -> Iterator[NDArray[np.int64]]:
    """Split row numbers into chunks whose updates of ``values`` float32 fit into ``CHUNK_BYTES``."""
    size = max(1, CHUNK_BYTES // (4 * values))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def fit_features(pairs: InjectedPairs, rows: NDArray[np.int64], unfitted: GradientFeatures) -> GradientFeatures:
    """The same map with statistics over the training pairs ``rows``, computed in one pass over the disk."""
    total, squares = (torch.zeros(unfitted.size, dtype=torch.float64) for _ in range(2))
    shift: Tensor | None = None  # the first row; keeps the one-pass variance accurate
    for part in chunks(rows, pairs.layout.size):
        values = unfitted.raw(pairs.read_updates(part)).to(torch.float64)
        shift = values[0].clone() if shift is None else shift
        values -= shift
        total += values.sum(dim=0)
        squares += values.square().sum(dim=0)
    if shift is None:
        raise ValueError("no training pairs")
    mean = total / len(rows)
    variance = (squares / len(rows) - mean.square()).clamp_min(0)
    std = variance.sqrt()
    floor = float(std.median()) * 1e-6 + EPSILON  # constant coordinates carry no information
    center, deviation = (mean + shift).to(torch.float32), std.clamp_min(floor).to(torch.float32)
    return replace(unfitted, mean=center, std=deviation)
