"""Input-gradient smoothness analysis (IGSA)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedleak import limits
from fedleak.metrics.analysis.base import Analysis, LeakedBatch, differentiable
from fedleak.models.state import precision, trainable


class Igsa(Analysis):
    """Smoothness of the gradient in the image: high where gradients are easy to invert (Du et al. 2024, Eq. 10).

    Let ``J_l(x)`` be the Jacobian, with respect to one image, of the gradient of that image's loss for all parameters
    of layer ``l`` (a module that directly owns parameters, in the order of the network). Then, with ``x'`` near ``x``,

        IGSA(x) = 1 / mean_x' sum_l v_l ||J_l(x')||_F      v_l = 2 (L + 1 - l) / (L (L + 1)),

    so that shallow layers have the largest weights and the weights sum to one (arXiv 2404.05403, section 5.1.1, which
    does not specify norm and weights: this is our reading). Norms are estimated from Jacobian-vector products in random
    orthonormal directions; with as many directions as the image has values they are exact. The cost is
    ``samples * projections`` products for each image; no Jacobian is formed.

    It is computed at the victims' own images and the model version of their update, one image at a time, with running
    statistics in the normalisation layers. Values of different models are not comparable; charts show them relative to
    the first attacked round.
    """

    kind: Literal["igsa"] = "igsa"
    samples: int = Field(default=8, ge=1, le=limits.RESTARTS)
    """Points x' near each image."""
    projections: int = Field(default=8, ge=1, le=limits.RESTARTS)
    """Number of directions at each point."""
    radius: float = Field(default=1.0, ge=0, le=limits.RATE)
    """Radius of the Euclidean ball around the image in which the points are drawn uniformly, for pixels in [0, 1]."""

    def evaluate(self, leaked: LeakedBatch, *, generator: torch.Generator) -> Tensor:
        """``(B,)``, in units of pixels over gradient; infinite if the gradient is constant."""
        values = []
        for image, label in zip(leaked.images, leaked.targets, strict=True):
            directions = min(self.projections, image.numel())
            norms = []
            for _ in range(self.samples):
                near = image + self.radius * draw_in_ball(image, generator)
                norms.append(jacobian_norms(leaked, near, label, draw_directions(image, directions, generator)))
            norm = torch.stack(norms).mean(dim=0)
            values.append(1 / (depth_weights(len(norm), like=norm) * norm).sum())
        return torch.stack(values)


def jacobian_norms(leaked: LeakedBatch, image: Tensor, target: Tensor, directions: Tensor) -> Tensor:
    """Estimated Frobenius norm of the Jacobian of each layer's gradient, ``(L,)``.

    ``J u`` is the gradient of ``<dloss/dx, u>`` with respect to the parameters, so one graph of the inner gradient is
    reused for all directions. (On a ResNet-18 this took 0.75 of the time of forward-over-reverse differentiation with
    vmap.)

    Args:
        leaked: the model.
        image: ``(C, H, W)``.
        target: for the loss of the task.
        directions: orthonormal, ``(P, C, H, W)``.
    """
    with differentiable(leaked.module) as parameters, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        x = image[None].requires_grad_()
        (slope,) = torch.autograd.grad(
            leaked.task.loss(leaked.module(leaked.normalised(x).to(precision(leaked.module))), target[None]),
            x,
            create_graph=True,
        )
        squares = [
            torch.stack([product.square().sum() for product in products])
            for products in (
                torch.autograd.grad(slope, parameters, u[None], retain_graph=True, materialize_grads=True)
                for u in directions
            )
        ]
    by_parameter = torch.stack(squares).mean(dim=0) * image.numel()
    return torch.stack([by_parameter[list(places)].sum() for places in layers(leaked.module)]).sqrt()


def layers(module: nn.Module) -> Iterable[tuple[int, ...]]:
    """For each module that directly owns trained parameters, their positions in the list of these."""
    owners: dict[str, list[int]] = {}
    for place, name in enumerate(trainable(module) or dict(module.named_parameters())):
        owners.setdefault(name.rpartition(".")[0], []).append(place)
    return map(tuple, owners.values())


def depth_weights(count: int, *, like: Tensor) -> Tensor:
    """Weights of the layers, ``(L,)``: falling linearly with depth, with sum one."""
    falling = torch.arange(count, 0, -1, dtype=like.dtype, device=like.device)
    return falling / falling.sum()


def draw_directions(image: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Orthonormal directions of random orientation, ``(P, C, H, W)``."""
    drawn = torch.randn(image.numel(), count, generator=generator, dtype=torch.float64)
    directions: Tensor = torch.linalg.qr(drawn).Q.T.reshape(count, *image.shape)
    return directions.to(image)


def draw_in_ball(image: Tensor, generator: torch.Generator) -> Tensor:
    """A point of the unit ball in the space of ``image``, uniformly distributed."""
    direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    distance = math.exp(torch.rand((), generator=generator).clamp(min=1e-30).log().item() / image.numel())
    point: Tensor = distance * direction / direction.norm()
    return point.to(image)
