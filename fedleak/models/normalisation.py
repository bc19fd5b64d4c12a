"""What normalisation layers see of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def recorded_inputs(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Inputs of the batch-normalisation layers of every call inside the block, by name of the layer."""
    seen: dict[str, Tensor] = {}

    def recorder(name: str) -> object:
        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[name] = inputs[0]

        return record

    handles = [
        layer.register_forward_pre_hook(recorder(name))  # type: ignore[arg-type]
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def mean_and_variance(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel of ``(B, C, ...)``, over batch and places: ``(C,)`` each; the variance is the biased one."""
    axes = [axis for axis in range(inputs.ndim) if axis != 1]
    return inputs.mean(dim=axes), inputs.var(dim=axes, correction=0)


@torch.no_grad()
def batch_statistics(module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """``LAYER.mean`` and ``LAYER.var`` ``(C,)`` of every batch-normalisation layer's input, for normalised images.

    The module runs in the mode that it is in; its buffers are left as they are.
    """
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with recorded_inputs(module) as seen:
        module(images)
    for name, buffer in module.named_buffers():
        buffer.copy_(kept[name])
    statistics: dict[str, Tensor] = {}
    for name, inputs in seen.items():
        statistics[f"{name}.mean"], statistics[f"{name}.var"] = mean_and_variance(inputs)
    return statistics
