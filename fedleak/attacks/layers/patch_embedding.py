"""Closed-form recovery of the input of a patch embedding with learned positions.

The gradient of the position embeddings *is* the gradient ``d`` of the embedding's output, so Eq. 3 of Chen & Liu 2025
(arXiv 2505.20026) has no unknown weights at this layer: ``G_W = sum_t d_t patch_t^T`` gives ``patches = (d^T)^+ G_W``,
exact for one image if there are fewer patches than values per token (layer norm removes one dimension; Lu et al.
2022, arXiv 2112.14087). For a batch it gives a mixture. A factor common to both gradients cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.attacks.layers.graph import LayerGraph
from fedleak.attacks.tikhonov import tikhonov_solve
from fedleak.examples import InputShape
from fedleak.transcript.layout import Layout

GUARD = 1e-10
"""Weight of the Tikhonov term, relative to the mean eigenvalue of ``d d^T``."""


@dataclass(frozen=True)
class EmbeddingLayer:
    """Location of the patch embedding's weight ``(D, C, p, q)`` and of the positions ``(T, D)`` in a flat update.

    Attributes:
        weight, positions: half-open ranges.
        first: row of the first patch among the positions; learned tokens come before.
        image: ``(C, H, W)``.
        patch: ``(p, q)``, height and width of a patch.
    """

    weight: tuple[int, int]
    positions: tuple[int, int]
    first: int
    image: InputShape
    patch: tuple[int, int]

    @property
    def values(self) -> int:
        """Number of values in one solution."""
        return math.prod(self.image)

    def solve(self, updates: Tensor) -> Tensor:
        """Flat updates ``(n, D)`` -> the normalised image ``(n, C * H * W)``, float32; zeros for a zero update."""
        weight = (
            updates[:, slice(*self.weight)].double().reshape(len(updates), -1, self.image[0] * math.prod(self.patch))
        )
        d = updates[:, slice(*self.positions)].double().reshape(len(updates), -1, weight.shape[1])[:, self.first :]
        solution, _ = tikhonov_solve(d @ d.transpose(1, 2), d @ weight, weight=GUARD)
        return self.tiled(solution.nan_to_num(posinf=0.0, neginf=0.0))  # a non-finite update has no solution

    def tiled(self, patches: Tensor) -> Tensor:
        """Patches ``(n, T, C * p * q)``, row by row -> flat images ``(n, C * H * W)``, float32."""
        channels, height, width = self.image
        p, q = self.patch
        tiles = patches.reshape(-1, height // p, width // q, channels, p, q).permute(0, 3, 1, 4, 2, 5)
        return tiles.reshape(len(patches), -1).to(torch.float32)


def embedding_layer(graph: LayerGraph, layout: Layout) -> EmbeddingLayer | None:
    """The leaked model's patch embedding with learned positions; None if it has none."""
    slots = {slot.name: (slot.start, slot.stop) for slot in layout.slots}
    for layer in graph.layers:
        if layer.kind != "patch_embedding" or layer.source != 0 or not (layer.weight and layer.offset):
            continue
        if layer.weight not in slots or layer.offset not in slots:  # frozen
            return None
        channels, height, width = layer.input_shape
        rows, columns = layer.output_shape[1:]
        return EmbeddingLayer(
            weight=slots[layer.weight],
            positions=slots[layer.offset],
            first=layer.offset_start,
            image=(channels, height, width),
            patch=(height // rows, width // columns),
        )
    return None
