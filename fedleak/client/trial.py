"""Trials of fast ways to compute updates: they are taken only if they reproduce plain autograd for the model at hand.

A model is the user's code. It may use a weight twice or outside its layer, scale in a hook, mix the images of a batch
or branch on data; whether a fast way sees all that cannot be read from the types of its layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fedleak import seeds
from fedleak.tensors import NamedTensors, Tensors

Shared = tuple[Tensors, Tensors, Tensor]
"""Updates, new buffers and losses of ``n`` batches, each with ``n`` as first dimension."""
RELATIVE = 1e-5
"""Largest relative difference from autograd."""


def trial_batches(
    images: tuple[int, ...], targets: tuple[int, ...], kind: torch.dtype, *, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Random batches ``(4, *images)`` and targets ``(4, *targets)``.

    They differ in sign and size, so that a way that mixes batches, or follows one branch for all, is found out.

    Args:
        images, targets: shapes for one batch.
        kind: data type of the targets; integers are class numbers zero and one.
        like: a tensor with data type and device of the network.
    """
    generator = seeds.torch_generator(0, "trial")
    drawn = torch.randn(2, *images, generator=generator)
    batches = torch.stack([drawn[0], -drawn[0], 0.3 * drawn[1], 2 * drawn[1] + 0.5])
    if kind.is_floating_point:
        wanted = torch.rand(4, *targets, generator=generator).to(kind)
    else:
        wanted = torch.arange(4 * math.prod(targets)).remainder(2).reshape(4, *targets).to(kind)
    return batches.to(like), wanted.to(like.device)


def works(fast: Callable[[], Shared], plain: Shared) -> bool:
    """Whether ``fast`` runs and reproduces ``plain``."""
    try:
        found = fast()
    except Exception:  # a user's model may raise anything under torch.func; then the plain way is taken
        return False
    return agree(found[0], plain[0]) and agree(found[1], plain[1])


def agree(found: NamedTensors, expected: NamedTensors, *, relative: float = RELATIVE) -> bool:
    """Whether all tensors agree up to ``relative`` of their norm, or a tenth of it of the norm of all together."""
    if found.keys() != expected.keys():
        return False
    whole = math.sqrt(sum(_norm(tensor) ** 2 for tensor in expected.values()))
    return all(
        _norm(found[name].double() - tensor.double()) <= relative * _norm(tensor) + relative / 10 * whole
        for name, tensor in expected.items()
    )


def _norm(tensor: Tensor) -> float:
    return float(tensor.detach().double().norm())
