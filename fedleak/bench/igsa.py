"""Benchmark of IGSA, and of its Jacobian-vector products by forward-mode differentiation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from fedleak.bench.base import Measured, stopwatch
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.analysis.igsa import Igsa, draw_directions, jacobian_norms
from fedleak.models.resnet18 import ResNet18
from fedleak.progress import Progress

SHAPE, CLASSES = (3, 32, 32), 10
SAMPLES, PROJECTIONS = 8, 8


def measure(
    progress: Progress, *, model: nn.Module | None = None, samples: int = SAMPLES, projections: int = PROJECTIONS
) -> Measured:
    """Seconds of the analysis of one image, on all threads of torch.

    ``igsa_seconds`` is the analysis with ``samples`` x ``projections`` products, ``igsa_half_seconds`` that with half
    the samples: the cost is linear. ``product_seconds`` is the time per product; ``forward_product_seconds`` is that of
    forward-over-reverse differentiation, batched over the directions by vmap.

    Args:
        model: the network; by default a ResNet-18 for small images.
    """
    bar = progress.task("igsa", 3)
    network = (model or ResNet18().build(SHAPE, CLASSES, seed=0)).eval()
    draws = torch.Generator().manual_seed(0)
    image, label = torch.rand(SHAPE, generator=draws), torch.tensor(0)
    batch = LeakedBatch(network, image[None], label[None], mean=(0.5,) * 3, std=(0.25,) * 3)
    directions = draw_directions(image, projections, draws)
    jacobian_norms(batch, image, label, directions[:1])
    measured: Measured = {"samples": samples, "projections": projections}
    for name, count in (("igsa_seconds", samples), ("igsa_half_seconds", samples // 2)):
        with stopwatch() as watch:
            Igsa(samples=count, projections=projections).evaluate(batch, generator=draws)
        measured[name] = watch.seconds
        bar.advance()
    measured["product_seconds"] = measured["igsa_seconds"] / (samples * projections)
    with stopwatch() as watch:
        forward_products(batch, image, label, directions)
    measured["forward_product_seconds"] = watch.seconds / projections
    bar.advance()
    return measured


@torch.no_grad()
def forward_products(leaked: LeakedBatch, image: Tensor, label: Tensor, directions: Tensor) -> Tensor:
    """Squared size of ``J u`` for each parameter, by forward-over-reverse differentiation: ``(P, parameters)``."""
    parameters: dict[str, Tensor] = dict(leaked.module.named_parameters())
    buffers = dict(leaked.module.named_buffers())

    def loss(weights: dict[str, Tensor], pixels: Tensor) -> Tensor:
        logits = functional_call(leaked.module, (weights, buffers), (leaked.normalised(pixels[None]),))
        return F.cross_entropy(logits, label[None])

    def sizes(direction: Tensor) -> Tensor:
        product: dict[str, Tensor] = jvp(lambda pixels: grad(loss)(parameters, pixels), (image,), (direction,))[1]
        return torch.stack([product[name].square().sum() for name in parameters])

    found: Tensor = vmap(sizes)(directions)
    return found
