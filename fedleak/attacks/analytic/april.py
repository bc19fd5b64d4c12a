"""APRIL's closed form: the input of a vision transformer whose first attention reads the embedded patches."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.attacks.analytic.linear_layer import to_pixels
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.layers.graph import Layer, LayerGraph
from fedleak.attacks.layers.patch_embedding import EmbeddingLayer, embedding_layer
from fedleak.attacks.layers.tracing import NORMALISATIONS, trace_layers
from fedleak.errors import AttackFailedError
from fedleak.tensors import Tensors
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate
from fedleak.transcript.layout import Layout


class April(Attack):
    """APRIL: tokens from Q, K, V weights and the position gradient, in closed form (Lu et al. 2022, arXiv 2112.14087).

    Where attention reads the embedded patches ``z`` without layer norm or shortcut, ``(dL/dz)^T z`` is the sum of
    ``W^T dL/dW`` over the query, key and value weights, and ``dL/dz`` is the gradient of the learned positions. So
    ``z`` follows by least squares, and the patches from ``z`` by the weights of the embedding. For one image, no more
    tokens than values per token, and no more values in a patch than in a token. That is design A of the paper
    (``model: {kind: vit, design: plain}``); their optimisation for usual transformers is not here. Our choice: double
    precision, and directions weaker than ``tolerance`` count as undetermined. ``patch_positions`` needs neither these
    weights nor that design.

    Fails on batches, on vision transformers of the usual ``design`` (normalisation before attention), without learned
    positions, and where an image has more tokens than a token has values: the system then has many solutions.
    """

    kind: Literal["april"] = "april"
    tolerance: float = Field(default=1e-8, gt=0, lt=1)
    """Singular values below this fraction of the largest are left out: single-precision gradients are not better."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        pixels: PixelPrior,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """The image ``(1, C, H, W)``; for a batch, every image gets the same mixture.

        Raises:
            AttackFailedError: if the network does not start as described, a layer is frozen, there are too few
                equations, or the update is zero or not finite.
        """
        network = architecture.build(seed=0)
        graph = trace_layers(network, architecture.input_shape)
        embedding = embedding_layer(graph, Layout.of(update.tensors.items()))
        attention = first_attention(graph, normalisations(network))
        if embedding is None or attention is None:
            raise AttackFailedError(
                "APRIL needs attention that reads the embedded patches and trained positions directly, without layer "
                "norm or shortcut, such as model.design: plain of vit"
            )
        positions, projection = str(graph.layers[0].offset), f"{attention.name}.in_proj_weight"
        weights = {name: value.double().cpu() for name, value in model.state.items() if value.is_floating_point()}
        tokens = self._tokens(self._shared(update, positions), self._shared(update, projection), weights[projection])
        flat = self._images(tokens - weights[positions][0], graph.layers[0], weights, embedding)
        images = to_pixels(flat, architecture.input_shape, pixels)
        return Reconstruction(images=images.repeat(update.samples or 1, 1, 1, 1))

    def _shared(self, update: SharedUpdate, name: str) -> Tensor:
        if name not in update.tensors:
            raise AttackFailedError(f"APRIL needs the gradient of {name}, which is frozen")
        tensor = update.tensors[name].double().cpu()
        if not torch.isfinite(tensor).all() or not tensor.abs().max() > 0:
            raise AttackFailedError(f"the gradient of {name} is zero or not finite")
        return tensor

    def _tokens(self, positions: Tensor, projection: Tensor, weight: Tensor) -> Tensor:
        """Tokens ``(T, D)`` from the gradients of positions ``(1, T, D)`` and of Q, K, V ``(3 D, D)``, and the weights.

        A factor common to both gradients, such as a learning rate, cancels.
        """
        count, width = positions.shape[1:]
        if count > width:
            raise AttackFailedError(f"{count} tokens need at least as many values per token, not {width}")
        return self._solve(positions[0].T, weight.T @ projection)

    def _images(self, embedded: Tensor, layer: Layer, weights: Tensors, embedding: EmbeddingLayer) -> Tensor:
        """Flat normalised images ``(1, C * H * W)`` from the embedded patches without positions ``(T, D)``."""
        weight = weights[str(layer.weight)].flatten(1)
        if weight.shape[1] > weight.shape[0]:
            raise AttackFailedError(
                f"patches of {weight.shape[1]} values need tokens of as many, not {weight.shape[0]}"
            )
        bias = weights[layer.bias] if layer.bias else torch.zeros(len(weight), dtype=torch.float64)
        patches = self._solve(weight, (embedded[embedding.first :] - bias).T).T
        return embedding.tiled(patches[None])

    def _solve(self, system: Tensor, right: Tensor) -> Tensor:
        solution: Tensor = torch.linalg.lstsq(system, right, rcond=self.tolerance, driver="gelsd").solution
        return solution


def normalisations(network: nn.Module) -> frozenset[str]:
    """Names of the parameters of normalisation layers."""
    layers = ((name, layer) for name, layer in network.named_modules() if isinstance(layer, NORMALISATIONS))
    return frozenset(f"{name}.{own}" for name, layer in layers for own, _ in layer.named_parameters())


def first_attention(graph: LayerGraph, norms: frozenset[str]) -> Layer | None:
    """The attention that alone reads the patch embedding's output, unchanged but for learned tokens and positions.

    Args:
        norms: names of the parameters of normalisation layers.
    """
    for layer in graph.layers:
        point = graph.points[layer.source]
        if layer.kind != "attention" or point.inputs != (0,) or point.shortcuts:
            continue
        normalised = norms & {*graph.layers[0].parameters, layer.parameters[0]}  # those before a layer come first
        skipped = any(layer.source in later.shortcuts for later in graph.points)
        alone = len(graph.readers(layer.source)) == 1
        return layer if alone and not normalised and not skipped else None
    return None
