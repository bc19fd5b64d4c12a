"""How much each tensor of an update with known noise is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess


def noise_weights(steps: Sequence[PostProcess], shared: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Factors, a scalar for each tensor, to multiply trial and shared update with before they are compared.

    ``sigma^(-1/2)`` for noise of standard deviation ``sigma``, over all values of mean square one: squares count by
    ``1 / sigma``, halfway between all alike and the maximum-likelihood weight ``1 / sigma^2`` of Gaussian noise, which
    leans on few small tensors and was worse in most of our trials on digits. Empty where no step adds noise.

    Args:
        steps: what the client does to its update, in order; the variances of several add up.
        shared: the update as shared, name -> tensor.
    """
    found = [noise for step in steps if (noise := step.noise(shared))]
    names = [name for name in shared if any(name in noise for noise in found)]
    if not names:
        return {}
    variances = torch.stack([torch.stack([n[name] for n in found if name in n]).sum() for name in names])
    if not (variances > 0).any():
        return {}
    largest = float(variances.max())
    variances = torch.where(variances > 0, variances, largest) / largest  # a tensor without values is worth little
    sizes = variances.new_tensor([shared[name].numel() for name in names])
    factors = variances.pow(-0.25)
    factors = factors / ((sizes * factors.square()).sum() / sizes.sum()).sqrt()
    return dict(zip(names, factors.unbind(), strict=True))
