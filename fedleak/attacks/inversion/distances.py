"""Distances between a trial update and the shared one: pure functions on lists of tensors, one per parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.inversion.factors import Factors, written_out
from fedleak.component import Settings
from fedleak.errors import AttackFailedError

DistanceName = Literal[
    "squared_l2", "l2_per_layer", "l1_cosine_per_layer", "cosine", "cosine_per_layer", "angular", "gaussian_kernel"
]
Part = Tensor | Factors
TINY = 1e-12
"""Keeps the derivative of a root finite at zero."""


def _as_type(part: Part, dtype: torch.dtype) -> Part:
    """The part in the precision of the shared update; the network may compute in another one."""
    if isinstance(part, Factors):
        return Factors(part.errors.to(dtype), part.inputs.to(dtype))
    return part.to(dtype)


def squared_l2(trial: Sequence[Tensor], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``sum_l w_l ||g'_l - g_l||^2`` (DLG, Zhu et al. 2019, arXiv 1906.08935, Eq. 4)."""
    terms = [w * (a - b).square().sum() for a, b, w in zip(trial, target, weights, strict=True)]
    return torch.stack(terms).sum()


def l2_per_layer(trial: Sequence[Tensor], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``sum_l w_l ||g'_l - g_l||`` (GradInversion, Yin et al. 2021, arXiv 2104.07586, Eq. 2)."""
    terms = [w * ((a - b).square().sum() + TINY).sqrt() for a, b, w in zip(trial, target, weights, strict=True)]
    return torch.stack(terms).sum()


def _inner(first: Part, second: Tensor) -> Tensor:
    """Inner product without storing the products, because large updates are memory-bound."""
    if isinstance(first, Factors):
        return first.inner(second)
    return torch.dot(first.flatten(), second.flatten())


def _squared_norm(value: Part) -> Tensor:
    return value.squared_norm() if isinstance(value, Factors) else _inner(value, value)


def cosine_similarity(trial: Sequence[Part], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Cosine similarity of the concatenated tensors, with one weight per tensor in the inner products."""
    triples = list(zip(trial, target, weights, strict=True))
    inner = torch.stack([w * _inner(a, b) for a, b, w in triples]).sum()
    own = torch.stack([w * _squared_norm(a) for a, _, w in triples]).sum()
    other = torch.stack([w * _inner(b, b) for _, b, w in triples]).sum()
    return inner / (own * other + TINY**2).sqrt()


def cosine(trial: Sequence[Part], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``1 - <g', g> / (||g'|| ||g||)`` (Geiping et al. 2020, arXiv 2003.14053, Eq. 4)."""
    return 1 - cosine_similarity(trial, target, weights)


def cosine_per_layer(trial: Sequence[Part], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean of the cosine distances of the single layers."""
    terms = [w * cosine([a], [b], [1.0]) for a, b, w in zip(trial, target, weights, strict=True)]
    return torch.stack(terms).sum() / sum(weights)


def l1_cosine_per_layer(trial: Sequence[Tensor], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``sum_l w_l (mean |g'_l - g_l| + 1 - cos(g'_l, g_l))``, as in the code of Fan et al. 2025 (arXiv 2506.08435).

    With ``top_share``, the mean is over all coordinates of the layer, of which those left out count as zero.
    """
    triples = zip(trial, target, weights, strict=True)
    return torch.stack([w * ((a - b).abs().mean() + cosine([a], [b], [1.0])) for a, b, w in triples]).sum()


def angular(trial: Sequence[Part], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``arccos(cos) / pi``, the angle between the two as a fraction of 180 degrees."""
    limit = 1 - 1e-6  # the derivative of arccos has a pole at one
    return torch.arccos(cosine_similarity(trial, target, weights).clamp(-limit, limit)) / math.pi


def gaussian_kernel(trial: Sequence[Tensor], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``sum_l w_l (1 - exp(-||g'_l - g_l||^2 / (n_l var(g_l))))`` (SAPAG, Wang et al. 2020, arXiv 2009.06228).

    The width is the variance of the layer's shared gradient per coordinate; this is our reading of the paper.
    """
    terms = []
    for a, b, w in zip(trial, target, weights, strict=True):
        width = (b - b.mean()).square().sum() + TINY
        terms.append(w * (1 - torch.exp(-(a - b).square().sum() / width)))
    return torch.stack(terms).sum()


SCALE_FREE: Mapping[DistanceName, Callable[[Sequence[Part], Sequence[Tensor], Sequence[float]], Tensor]] = {
    "cosine": cosine,
    "cosine_per_layer": cosine_per_layer,
    "angular": angular,
}
"""Distances that are invariant to a positive factor, such as an unknown local learning rate. They only need inner
products of the trial gradient, so the gradient may be in factored form."""
SCALED: Mapping[DistanceName, Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[float]], Tensor]] = {
    "squared_l2": squared_l2,
    "l2_per_layer": l2_per_layer,
    "l1_cosine_per_layer": l1_cosine_per_layer,
    "gaussian_kernel": gaussian_kernel,
}


class Distance(Settings):
    """Distance between updates, and the part of the update that is compared."""

    kind: DistanceName = "cosine"
    """How the trial update is compared with the shared one."""
    scale: float = Field(default=1.0, gt=0, le=limits.RATE)
    """Factor of the distance in the objective, against the priors."""
    layer_weights: Literal["equal", "linear", "inverse"] = "equal"
    """Equal weights; growing with depth (1 .. L, mean one); or falling with depth."""
    layers: tuple[str, ...] = ()
    """Match only parameters whose name, or the name of an enclosing module, fits one of these patterns, such as
    ``inception3a`` for a block, ``*.conv1`` or ``0.weight``; empty: all parameters."""
    top_share: float = Field(default=1.0, gt=0, le=1)
    """Match only this fraction of each tensor's coordinates: those with the largest magnitude (``top_of``)."""
    top_of: Literal["shared", "trial"] = "shared"
    """Magnitude in the shared update, or in the trial update of each iteration."""

    @property
    def is_scale_free(self) -> bool:
        """Whether the distance is invariant to a positive factor on the update."""
        return self.kind in SCALE_FREE

    def selected(self, names: Sequence[str]) -> tuple[str, ...]:
        """The parameters that are compared.

        Raises:
            AttackFailedError: if there are none.
        """
        patterns = [pattern for layer in self.layers for pattern in (layer, f"{layer}.*")]
        chosen = tuple(n for n in names if not patterns or any(fnmatchcase(n, pattern) for pattern in patterns))
        if not chosen:
            raise AttackFailedError(f"no parameter matches {', '.join(self.layers)}; parameters: {', '.join(names)}")
        return chosen

    def weights(self, count: int) -> tuple[float, ...]:
        """One weight per tensor."""
        if self.layer_weights == "equal":
            return (1.0,) * count
        ramp = [2 * (i + 1) / (count + 1) for i in range(count)]
        return tuple(ramp if self.layer_weights == "linear" else reversed(ramp))

    @property
    def has_fixed_mask(self) -> bool:
        """Whether the coordinates that are matched follow from the shared update alone."""
        return self.top_share < 1 and self.top_of == "shared"

    def mask(self, target: Tensor) -> Tensor:
        """1 where a coordinate of the shared ``target`` is among the largest, else 0; 1 everywhere without a mask."""
        if not self.has_fixed_mask:
            return torch.ones_like(target)
        kept = self._kept(target)
        largest = target.abs().flatten().topk(kept).indices
        return torch.zeros_like(target).flatten().index_fill(0, largest, 1.0).reshape(target.shape)

    def _kept(self, tensor: Tensor) -> int:
        return max(1, round(self.top_share * tensor.numel()))

    def _trial_mask(self, trial: Tensor) -> Tensor:
        """1 where a coordinate of the trial update is among the largest, and where it equals the smallest of these."""
        sizes = trial.detach().abs()
        return (sizes >= sizes.flatten().topk(self._kept(trial)).values[-1]).to(trial.dtype)

    def __call__(self, trial: Mapping[str, Part], target: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Tensor:
        """Scalar distance between two updates after multiplication with ``mask`` (which may be empty)."""
        names = self.selected(list(target))
        weights = self.weights(len(names))
        trial = {n: _as_type(trial[n], target[n].dtype) for n in names}
        if mask:
            trial = {n: written_out(trial[n], target[n]) * mask[n] for n in names}
            target = {n: target[n] * mask[n] for n in names}
        if self.top_share < 1 and self.top_of == "trial":
            whole = {n: written_out(trial[n], target[n]) for n in names}
            masks = {n: self._trial_mask(whole[n]) for n in names}
            trial, target = ({n: update[n] * masks[n] for n in names} for update in (whole, target))
        shared = [target[n] for n in names]
        if self.kind in SCALE_FREE:
            return self.scale * SCALE_FREE[self.kind]([trial[n] for n in names], shared, weights)
        return self.scale * SCALED[self.kind]([written_out(trial[n], target[n]) for n in names], shared, weights)
