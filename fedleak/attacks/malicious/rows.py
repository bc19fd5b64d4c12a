"""Images from the rows of a linear layer's gradient, as several readers of crafted models divide them."""

from __future__ import annotations

import torch
from torch import Tensor

from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.threat import PixelPrior, SharedUpdate


def shared_layer(update: SharedUpdate, name: str) -> tuple[Tensor, Tensor]:
    """Gradient of a layer's weight ``(O, I)`` and bias ``(O,)``, in double precision.

    Raises:
        AttackFailedError: if one of them is not shared, zero or not finite.
    """
    return shared_tensor(update, f"{name}.weight"), shared_tensor(update, f"{name}.bias")


def shared_tensor(update: SharedUpdate, name: str) -> Tensor:
    """One shared tensor, in double precision.

    Raises:
        AttackFailedError: if it is not shared, zero or not finite.
    """
    if name not in update.tensors:
        raise AttackFailedError(f"the update does not hold {name}, which was crafted: it is frozen or masked")
    tensor = update.tensors[name].double().cpu()
    if not tensor.isfinite().all() or not tensor.any():
        raise AttackFailedError(f"the gradient of the crafted {name} is zero or not finite")
    return tensor


def divided(weight: Tensor, bias: Tensor, *, smallest: float, most: int | None) -> Tensor:
    """``dL/dW_i / dL/db_i`` of the rows with the largest bias gradients, by falling size: ``(R, I)``.

    Args:
        weight, bias: ``(O, I)`` and ``(O,)``.
        smallest: rows whose bias gradient is below this share of the largest are empty.
        most: largest number of rows; None: all.

    Raises:
        AttackFailedError: if all rows are empty.
    """
    used = largest(bias, smallest=smallest, most=most)
    return weight[used] / bias[used, None]


def largest(values: Tensor, *, smallest: float, most: int | None) -> Tensor:
    """Indices of the largest magnitudes, by falling size: ``(R,)``.

    Args:
        values: ``(O,)``, such as bias gradients.
        smallest: values below this share of the largest belong to rows that no image activated.
        most: largest number of indices; None: all.

    Raises:
        AttackFailedError: if no row was activated.
    """
    size = values.abs()
    order = size.argsort(descending=True, stable=True)
    used = order[size[order] > smallest * size.max()][:most]
    if not len(used):
        raise AttackFailedError("no row of the crafted layer was activated")
    return used


def as_batch(inputs: Tensor, shape: InputShape, pixels: PixelPrior, *, samples: int | None) -> Tensor:
    """Inputs ``(R, I)`` as images in [0, 1]; if there are fewer than ``samples``, their mean stands for the others."""
    images = pixels.normalisation.undo(inputs.reshape(-1, *shape)).clamp(pixels.low, pixels.high).float()
    return with_means(images, samples=samples)


def with_means(images: Tensor, *, samples: int | None) -> Tensor:
    """Images ``(R, ...)``, and their mean for each that is missing of ``samples``."""
    missing = max(0, (samples or 0) - len(images))
    return torch.cat([images, images.mean(dim=0, keepdim=True).expand(missing, *images.shape[1:])])
