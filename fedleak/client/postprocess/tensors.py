"""Helpers shared by several steps: norms without overflow or underflow, random draws on the generator's device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor


def scaled_norm(tensors: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Euclidean norm over all values as two factors that stay in range even if their product or its square does not.

    Returns:
        The largest magnitude ``m`` (the smallest normal number if all values are zero), and the norm of the values
        divided by ``m``: at least 1, or 0 if all values are zero. Integer and empty tensors are ignored.
    """
    values = [t for t in tensors if t.is_floating_point() and t.numel()]
    if not values:
        return torch.tensor(torch.finfo(torch.float32).tiny), torch.tensor(0.0)
    tiny = torch.finfo(values[0].dtype).tiny
    largest = torch.stack([t.detach().abs().amax() for t in values]).amax().clamp(min=tiny)
    norms = torch.stack([torch.linalg.vector_norm(t / largest) for t in values])
    relative: Tensor = torch.linalg.vector_norm(norms)
    return largest, relative


def root_mean_square(tensors: Iterable[Tensor]) -> Tensor:
    """``sqrt(mean(x^2))`` over all values together, a scalar; 0 without values."""
    values = list(tensors)
    count = sum(t.numel() for t in values if t.is_floating_point())
    largest, relative = scaled_norm(values)
    mean: Tensor = largest * (relative / max(count, 1) ** 0.5)
    return mean


def each_floating(update: Mapping[str, Tensor], change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Apply ``change`` to every non-empty floating-point tensor; counters and empty tensors are copied."""
    return {
        name: change(tensor) if tensor.is_floating_point() and tensor.numel() else tensor.clone()
        for name, tensor in update.items()
    }


def within_range(tensor: Tensor) -> Tensor:
    """Clamp infinities to the range of the data type, in place."""
    limit = torch.finfo(tensor.dtype).max
    return tensor.clamp_(-limit, limit)


def straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """``rounded`` with the derivative of ``value`` (Bengio et al. 2013, arXiv 1308.3432)."""
    return value + (rounded - value).detach()


def rounding_variances(update: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean variance of stochastic rounding, a scalar for each tensor, estimated from its result, multiples of a step.

    A value at ``p`` steps, ``k <= p <= k + 1``, has variance ``(p - k)(k + 1 - p)`` square steps. The mean is about the
    share of non-zero values if most values are far below one step, and 1/6 if they spread over many steps.
    """
    return {name: _rounding_variance(t) for name, t in update.items() if t.is_floating_point() and t.numel()}


def _rounding_variance(tensor: Tensor) -> Tensor:
    magnitudes = tensor.abs()
    step = torch.where(magnitudes > 0, magnitudes, torch.inf).amin()
    share = (magnitudes > 0).to(tensor.dtype).mean()
    return torch.where(share > 0, share.clamp(max=1 / 6) * step.square(), torch.zeros_like(share))


def added_variance(update: Mapping[str, Tensor], *, std: float, relative_to: str) -> dict[str, Tensor]:
    """Variance of the noise of ``add_noise``, a scalar for each tensor, from its result ``x'``.

    Relative noise: a share ``std^2 / (1 + std^2)`` of the mean square of ``x'``.
    """
    values = {name: tensor for name, tensor in update.items() if tensor.is_floating_point() and tensor.numel()}
    if relative_to == "nothing":
        return {name: tensor.new_tensor(std**2) for name, tensor in values.items()}
    share = std**2 / (1 + std**2)
    if relative_to == "update":
        common = share * root_mean_square(values.values()).square()
        return dict.fromkeys(values, common)
    return {name: share * root_mean_square([tensor]).square() for name, tensor in values.items()}


def uniform_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from U[0, 1) with the tensor's shape and type, made on the generator's device."""
    draws = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype, device=generator.device)
    return draws.to(tensor.device)


def normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from N(0, 1) with the tensor's shape and type, made on the generator's device."""
    draws = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype, device=generator.device)
    return draws.to(tensor.device)


def laplace_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from the Laplace distribution with mean 0 and variance 1, by inversion of uniform draws."""
    centred = uniform_like(tensor, generator).sub_(0.5)
    rest = torch.finfo(tensor.dtype).eps / 2
    magnitude = centred.abs().mul_(-2).add_(1).clamp_(min=rest).log_().mul_(-(0.5**0.5))
    return magnitude.copysign_(centred)


def add_noise(
    update: Mapping[str, Tensor], draw: Callable[[Tensor], Tensor], *, std: float, relative_to: str
) -> dict[str, Tensor]:
    """Add ``draw(tensor)`` times a standard deviation to every tensor, in the order of the mapping.

    The noise, and then its sum with the value, is clamped to the range of the data type.

    Args:
        update: name -> tensor.
        draw: fresh noise of unit variance in the shape of its argument.
        std: the standard deviation.
        relative_to: unit of ``std``. ``nothing``: one; ``tensor``: the root mean square of each tensor; ``update``:
            the root mean square of all values together.
    """
    common = root_mean_square(update.values()) if relative_to == "update" else 1.0

    def noisy(tensor: Tensor) -> Tensor:
        scale = root_mean_square([tensor]) if relative_to == "tensor" else common
        noise = within_range(draw(tensor).mul_(std).mul_(scale))
        return within_range(noise.add_(tensor))

    return each_floating(update, noisy)
