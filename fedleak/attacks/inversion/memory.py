"""How many victims fit side by side."""

from __future__ import annotations

import math

from torch import nn

from fedleak.attacks.inversion.execution import multiplications
from fedleak.models.base import InputShape

LONG_PASS = 50_000_000
"""Multiplications per image from which a CPU is busy with one victim; more at once only cost memory. With 35 million
(a ResNet-18 of width 16) eight side by side take half the time of one by one."""
MEMORY = 512 * 2**20
COPIES = 8
"""Tensors of the size of the update that are alive at once in a double backpropagation, for each trial."""
ACTIVATIONS = 64
"""Bytes of activations and their derivatives for each pixel and channel of a layer, a generous guess."""
MOST = 16


def victims_at_once(module: nn.Module, shape: InputShape, *, restarts: int, samples: int) -> int:
    """Victims that share ``MEMORY``, at most ``MOST``; one where a pass of the network is long.

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
