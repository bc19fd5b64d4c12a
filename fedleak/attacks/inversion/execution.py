"""Execution of networks: small ones on one thread with PyTorch's own convolutions, several victims in one batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fedleak.examples import InputShape
from fedleak.models.state import precision

SMALL = 1_500_000
"""Multiplications of a forward pass over all trial images, up to which the overhead of oneDNN and threads exceeds the
arithmetic: two images on the LeNet of DLG (0.69 million each)."""
LONG_PASS = 50_000_000
"""Multiplications per image from which one victim uses a CPU fully; more victims only cost memory. With 35 million
(a ResNet-18 of width 16), eight victims in one batch take half the time of one by one."""
MEMORY = 512 * 2**20
COPIES = 8
"""Tensors of the size of the update that double backpropagation holds at the same time, per trial."""
ACTIVATIONS = 64
"""Bytes of activations and their derivatives per pixel and channel of a layer; a generous estimate."""
MOST = 16


def multiplications(module: nn.Module, shape: InputShape) -> int:
    """Multiplications of convolutions and linear layers in one forward pass of one image ``(C, H, W)``."""
    counts: list[int] = []

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        weight: Tensor = getattr(layer, "weight")  # noqa: B009 - a parametrised weight is no parameter
        outputs = output[0].numel() if isinstance(layer, nn.Linear) else math.prod(output.shape[2:]) * weight.shape[0]
        counts.append(outputs * weight[0].numel())

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    first = next(module.parameters())
    try:
        with torch.no_grad():  # two images, because normalisation over one value is an error in training mode
            module(torch.zeros(2, *shape, device=first.device, dtype=precision(module)))
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


@contextmanager
def for_size(size: int, device: torch.device) -> Iterator[None]:
    """Run the block on one thread and without oneDNN if it has few multiplications (``size``) and runs on a CPU.

    The rule does not depend on measured time, so that repeated attacks give identical results.
    """
    if size > SMALL or device.type != "cpu":
        yield
        return
    threads, onednn = torch.get_num_threads(), torch.backends.mkldnn.enabled
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property of the module, typed as its class
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = onednn
        torch.set_num_threads(threads)


def victims_at_once(module: nn.Module, shape: InputShape, *, restarts: int, samples: int) -> int:
    """Number of victims that fit into ``MEMORY``, at most ``MOST``; one if a forward pass on a CPU is expensive.

    Args:
        shape: of one image.
        restarts: trials of one victim.
        samples: images of one victim.
    """
    first = next(module.parameters())
    if first.device.type == "cpu" and multiplications(module, shape) > LONG_PASS:
        return 1
    values = sum(parameter.numel() for parameter in module.parameters())
    victim = restarts * (4 * COPIES * values + samples * ACTIVATIONS * 16 * math.prod(shape))
    return max(1, min(MOST, MEMORY // victim))
