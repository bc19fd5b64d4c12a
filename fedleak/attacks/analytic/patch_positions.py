"""Exact recovery of the patches of a vision transformer with learned positions."""

from __future__ import annotations

from typing import Literal

import torch

from fedleak.attacks.analytic.linear_layer import to_pixels
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.layers.patch_embedding import embedding_layer
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.errors import AttackFailedError
from fedleak.threat import ModelArchitecture, PixelPrior, SharedUpdate
from fedleak.transcript.layout import Layout


class PatchPositions(Attack):
    """Patches of a vision transformer from the gradients of patch embedding and learned positions (ours).

    After APRIL (Lu et al. 2022, arXiv 2112.14087), whose closed form goes through the attention's weights and is the
    attack ``april``. Here the gradient of the embedding's weight is used instead, so that neither weights nor training
    are needed, and any transformer with learned positions can be attacked. Exact for one image if there are fewer
    patches than values per token; for a batch, every image gets the same mixture.

    Fails on batches, on networks without learned positions, and where an image has as many patches as a token has
    values, or more. Post-processing that zeroes or rounds gradients leaves only a part of the patches.
    """

    kind: Literal["patch_positions"] = "patch_positions"

    def reconstruct(
        self, update: SharedUpdate, architecture: ModelArchitecture, pixels: PixelPrior, *, generator: torch.Generator
    ) -> Reconstruction:
        """Solve one linear system for the patches.

        Raises:
            AttackFailedError: if the network does not start with a patch embedding with learned positions, or there
                are too few equations.
        """
        graph = trace_layers(architecture.build(seed=0), architecture.input_shape)
        embedding = embedding_layer(graph, Layout.of(update.tensors.items()))
        if embedding is None:
            raise AttackFailedError("the network does not start with a trained patch embedding with trained positions")
        width, *grid = graph.layers[0].output_shape
        if grid[0] * grid[1] >= width:
            raise AttackFailedError(f"{grid[0] * grid[1]} patches need tokens of more than {width} values")
        images = to_pixels(embedding.solve(update.flat()[None]), architecture.input_shape, pixels)
        return Reconstruction(images=images.repeat(update.samples or 1, 1, 1, 1))
