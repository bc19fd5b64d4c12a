"""Image priors, independent of the update: pure functions and their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
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

    What a shift moves into an image from outside does not count: each pixel is the mean over the candidates that show
    it, and that of the pixel mean where none does. Restarts that are not finite are left out.

    Args:
        candidates: ``(G, B, C, H, W)``.
        largest_shift: in pixels, along each axis.
    """
    reference = mean_consensus(candidates)
    usable = [images for images in candidates if bool(torch.isfinite(images).all())]
    if not usable:
        return reference
    moved, shown = zip(*(align(images, reference[0], largest_shift=largest_shift) for images in usable), strict=True)
    counts = torch.stack(shown).sum(dim=0)
    mean = torch.stack(moved).sum(dim=0) / counts.clamp(min=1)
    return torch.where(counts > 0, mean, reference[0])[None]


def align(images: Tensor, reference: Tensor, *, largest_shift: int) -> tuple[Tensor, Tensor]:
    """Each image shifted by the whole pixels, up to ``largest_shift``, that bring it nearest to its reference.

    Nearest by the mean squared difference where the shifted image has content; nothing wraps around.

    Args:
        images, reference: ``(B, C, H, W)``.
        largest_shift: in pixels, along each axis; capped so that at least half of every axis stays.

    Returns:
        The shifted images, with zeros where they have no content, and a mask of their content ``(B, 1, H, W)``.
    """
    height, width = images.shape[-2:]
    ones = torch.ones_like(images[:, :1])
    best, shown, nearest = images, ones, (images - reference).square().flatten(1).mean(dim=1)
    for down, right in product(_shifts(largest_shift, height), _shifts(largest_shift, width)):
        moved, mask = shifted(images, down, right), shifted(ones, down, right)
        content = images.shape[1] * (height - abs(down)) * (width - abs(right))
        distance = ((moved - reference) * mask).square().flatten(1).sum(dim=1) / content
        better = (distance < nearest)[:, None, None, None]
        best, shown = torch.where(better, moved, best), torch.where(better, mask, shown)
        nearest = torch.minimum(distance, nearest)
    return best, shown


def _shifts(largest: int, length: int) -> range:
    reach = min(largest, length // 2)
    return range(-reach, reach + 1)


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """``images`` ``(..., H, W)`` moved by whole pixels, less than their size, with zeros from outside."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
    top, left = max(-down, 0), max(-right, 0)
    return padded[..., top : top + height, left : left + width]
