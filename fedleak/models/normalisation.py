"""Inputs and batch statistics of normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fedleak.models.state import precision


@contextmanager
def recorded_inputs(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record the inputs of batch-normalisation layers during calls inside the block, by layer name."""
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
    """Mean and biased variance of each channel of ``(B, C, ...)``, over batch and positions: ``(C,)`` each."""
    axes = [axis for axis in range(inputs.ndim) if axis != 1]
    return inputs.mean(dim=axes), inputs.var(dim=axes, correction=0)


@torch.no_grad()
def batch_statistics(module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """``LAYER.mean`` and ``LAYER.var`` ``(C,)`` of every batch-normalisation layer's input, for normalised images.

    The module runs in its current mode; its buffers are restored afterwards.
    """
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with recorded_inputs(module) as seen:
        module(images.to(precision(module)))
    for name, buffer in module.named_buffers():
        buffer.copy_(kept[name])
    statistics: dict[str, Tensor] = {}
    for name, inputs in seen.items():
        statistics[f"{name}.mean"], statistics[f"{name}.var"] = mean_and_variance(inputs)
    return statistics
