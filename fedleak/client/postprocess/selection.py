"""Helpers of sparsifiers: selection of values per tensor or over the whole update."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from fedleak.client.postprocess.tensors import each_floating

SAMPLED = 2**16
"""Approximate number of values in a sample."""


def kept_count(share: float, values: int) -> int:
    """``ceil(share * values)``, robust against rounding errors such as ``0.29 * 100 > 29``."""
    return min(values, max(1, math.ceil(share * values - 1e-9)))


def largest(flat: Tensor, count: int) -> Tensor:
    """Indices ``(count,)`` of the values of largest magnitude in a flat tensor, unordered.

    For many values, a threshold from a sample selects the few candidates to sort. This is several times as fast as
    ``torch.topk`` and exact: if the threshold leaves too few candidates, all values are sorted. NaN counts as the
    largest.
    """
    magnitudes = flat.abs()
    if len(flat) < 2 * SAMPLED or 4 * count > len(flat):
        return magnitudes.topk(count, sorted=False).indices
    sample = magnitudes[:: len(flat) // SAMPLED]
    expected = count / len(flat) * len(sample)
    above = math.ceil(expected + 4 * expected**0.5 + 4)
    candidates = torch.nonzero(~(magnitudes < sample.topk(above, sorted=False).values.amin())).flatten()
    if len(candidates) < count:
        return magnitudes.topk(count, sorted=False).indices
    return candidates[magnitudes[candidates].topk(count, sorted=False).indices]


def random_places(values: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` distinct indices below ``values`` in increasing order; every subset is equally likely.

    Indices are drawn until enough of them differ; if fewer are left out than kept, the indices to leave out are drawn.
    """
    few = min(count, values - count)
    drawn = torch.zeros(values, dtype=torch.bool, device=generator.device)
    while missing := few - int(drawn.count_nonzero()):
        drawn[torch.randint(values, (missing,), generator=generator, device=generator.device)] = True
    return torch.nonzero(drawn if few == count else ~drawn).flatten()


def on_support(update: Mapping[str, Tensor], shared: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Trial values where the shared update is not zero, zero elsewhere.

    A later step that fills zeros, such as noise, hides the support.
    """
    return {name: tensor * (shared[name] != 0) for name, tensor in update.items()}


def select(
    update: Mapping[str, Tensor], keep: Callable[[Tensor], Tensor], *, scope: Literal["tensor", "global"]
) -> dict[str, Tensor]:
    """Apply ``keep``, which zeroes part of a flat tensor ``(n,)``, to each tensor or to all tensors concatenated.

    Integer and empty tensors are copied. Concatenated tensors of different types are compared in the widest type.
    """
    if scope == "tensor":
        return each_floating(update, lambda tensor: keep(tensor.flatten()).reshape(tensor.shape))
    floating = [tensor for tensor in update.values() if tensor.is_floating_point() and tensor.numel()]
    if not floating:
        return {name: tensor.clone() for name, tensor in update.items()}
    joined = keep(torch.cat([tensor.flatten() for tensor in floating]))
    parts = iter(torch.split(joined, [tensor.numel() for tensor in floating]))
    return each_floating(update, lambda tensor: next(parts).reshape(tensor.shape).to(tensor.dtype, copy=True))
