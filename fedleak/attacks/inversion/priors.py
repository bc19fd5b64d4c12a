"""Image priors, independent of the update: pure functions and their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.replay import outputs_of
from fedleak.component import Settings
from fedleak.models.normalisation import mean_and_variance, recorded_inputs
from fedleak.tensors import Tensors

TINY = 1e-12


class Priors(Settings):
    """Weights of the priors; a prior of weight zero is not computed."""

    total_variation: float = Field(default=0.0, ge=0, le=limits.RATE)
    """Weight of the total variation."""
    total_variation_kind: Literal["anisotropic", "isotropic", "norms"] = "anisotropic"
    """Mean absolute differences; mean norm of the gradient; or norms of the differences in four directions."""
    l2: float = Field(default=0.0, ge=0, le=limits.RATE)
    """Weight of the images' L2 norm."""
    batch_norm: float = Field(default=0.0, ge=0, le=limits.RATE)
    """Weight of the distance between the trial batch's statistics and those named in ``batch_norm_statistics``."""
    batch_norm_statistics: Literal["running", "exact"] = "running"
    """``running``: of the broadcast model; ``exact``: of the victim's batch, which must be granted."""
    group: float = Field(default=0.0, ge=0, le=limits.RATE)
    """Weight of the distance of each restart to the consensus of all restarts."""


def total_variation_anisotropic(images: Tensor) -> Tensor:
    """Mean absolute difference of vertical neighbours plus that of horizontal neighbours: ``(B, C, H, W)`` -> scalar.

    Averaged, not summed, as in the code of Geiping et al. 2020 (arXiv 2003.14053).
    """
    rows = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
    columns = (images[..., :, 1:] - images[..., :, :-1]).abs().mean()
    return rows + columns


def total_variation_isotropic(images: Tensor) -> Tensor:
    """Mean norm of the discrete gradient, without the last row and column (Rudin, Osher & Fatemi 1992)."""
    down = images[..., 1:, :-1] - images[..., :-1, :-1]
    right = images[..., :-1, 1:] - images[..., :-1, :-1]
    return (down.square() + right.square() + TINY).sqrt().mean()


def total_variation_norms(images: Tensor) -> Tensor:
    """Sum of the Euclidean norms of the batch's differences down, right and along both diagonals.

    As in DeepInversion (Yin et al. 2020, arXiv 1912.08795), whose image priors GradInversion adopts.
    """
    down = images[..., 1:, :] - images[..., :-1, :]
    right = images[..., :, 1:] - images[..., :, :-1]
    falling = images[..., 1:, 1:] - images[..., :-1, :-1]
    rising = images[..., 1:, :-1] - images[..., :-1, 1:]
    return torch.stack([(d.square().sum() + TINY).sqrt() for d in (down, right, falling, rising)]).sum()


TOTAL_VARIATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "anisotropic": total_variation_anisotropic,
    "isotropic": total_variation_isotropic,
    "norms": total_variation_norms,
}


def l2_norm(images: Tensor) -> Tensor:
    """Mean Euclidean norm of the images (GradInversion, Yin et al. 2021, arXiv 2104.07586, Eq. 9)."""
    return (images.square().flatten(1).sum(dim=1) + TINY).sqrt().mean()


def group_consistency(candidates: Tensor, consensus: Tensor) -> Tensor:
    """``||x_g - E(x)||`` for each of ``(G, B, C, H, W)`` -> ``(G,)`` (arXiv 2104.07586, Eq. 11-12)."""
    return ((candidates - consensus).square().flatten(1).sum(dim=1) + TINY).sqrt()


def batch_norm_distance(
    module: nn.Module, parameters: Tensors, buffers: Tensors, images: Tensor, statistics: Tensors | None = None
) -> Tensor:
    """``sum_l ||mu_l(x) - mean_l|| + ||var_l(x) - var_l||`` (GradInversion, arXiv 2104.07586, Eq. 10).

    Zero for a network without normalisation layers.

    Args:
        statistics: ``LAYER.mean`` and ``LAYER.var`` of the victim's batch; None: the running ones in ``buffers``.
    """
    with recorded_inputs(module) as seen:
        outputs_of(module, parameters, buffers, images)
    total = images.new_zeros(())
    for name, inputs in seen.items():
        prefix = f"{name}." if name else ""
        mean, variance = mean_and_variance(inputs)
        exact = (statistics[f"{name}.mean"], statistics[f"{name}.var"]) if statistics else None
        wanted = exact or (buffers[f"{prefix}running_mean"], buffers[f"{prefix}running_var"])
        for own, other in zip((mean, variance), wanted, strict=True):
            total = total + ((own - other).square().sum() + TINY).sqrt()
    return total


def image_prior(
    priors: Priors,
    module: nn.Module,
    parameters: Tensors,
    buffers: Tensors,
    images: Tensor,
    statistics: Tensors | None = None,
) -> Tensor:
    """Weighted sum of the priors that depend on one batch ``(B, C, H, W)`` only; ``statistics`` as above."""
    total = images.new_zeros(())
    if priors.total_variation:
        total = total + priors.total_variation * TOTAL_VARIATIONS[priors.total_variation_kind](images)
    if priors.l2:
        total = total + priors.l2 * l2_norm(images)
    if priors.batch_norm:
        total = total + priors.batch_norm * batch_norm_distance(module, parameters, buffers, images, statistics)
    return total


def mean_consensus(candidates: Tensor) -> Tensor:
    """The pixel mean over restarts ``(G, B, C, H, W)`` -> ``(1, B, C, H, W)``, the lazy form of Eq. 12.

    Restarts that are not finite are left out.
    """
    finite = torch.isfinite(candidates).flatten(1).all(dim=1)
    usable = torch.where(finite.reshape(-1, 1, 1, 1, 1), candidates, 0)
    return usable.sum(dim=0, keepdim=True) / finite.sum().clamp(min=1)


def registered_consensus(candidates: Tensor, *, largest_shift: int) -> Tensor:
    """The mean after registering every image to the pixel mean by whole pixels (instead of Eq. 12's RANSAC-flow).

    Args:
        candidates: ``(G, B, C, H, W)``.
        largest_shift: in pixels, along each axis.
    """
    reference = mean_consensus(candidates)
    shifted = torch.stack([align(images, reference[0], largest_shift=largest_shift) for images in candidates])
    return mean_consensus(shifted)


def align(images: Tensor, reference: Tensor, *, largest_shift: int) -> Tensor:
    """Each image rolled by the whole-pixel shift, up to ``largest_shift``, that is nearest to its reference.

    Both ``(B, C, H, W)``.
    """
    best, nearest = images, (images - reference).square().flatten(1).sum(dim=1)
    for down in range(-largest_shift, largest_shift + 1):
        for right in range(-largest_shift, largest_shift + 1):
            moved = torch.roll(images, (down, right), dims=(-2, -1))
            distance = (moved - reference).square().flatten(1).sum(dim=1)
            better = distance < nearest
            best = torch.where(better[:, None, None, None], moved, best)
            nearest = torch.where(better, distance, nearest)
    return best
