"""Mixed precision and compilation for training generators on CUDA devices."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fedleak.component import Settings


class AccelerationSettings(Settings):
    """Settings of mixed precision and compilation; ``auto`` enables both on CUDA devices only."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products and convolutions in training; ``auto``: bfloat16 on CUDA devices. Weights stay
    float32."""
    compile: Literal["auto"] | bool = "auto"
    """Compile the generator for training (``torch.compile``); ``auto``: on CUDA devices."""

    def lowers_precision(self, device: torch.device) -> bool:
        """Whether training on ``device`` computes in bfloat16."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")

    def compiles(self, device: torch.device) -> bool:
        """Whether training on ``device`` compiles the generator."""
        return self.compile is True or (self.compile == "auto" and device.type == "cuda")


def accelerated(network: nn.Module, settings: AccelerationSettings, device: torch.device) -> nn.Module:
    """``network`` itself, or wrapped for accelerated training on ``device``; the parameters are the same objects."""
    lower, compiled = settings.lowers_precision(device), settings.compiles(device)
    if not (lower or compiled):
        return network
    wrapped = _Accelerated(network, device.type if lower else None)
    if compiled:
        wrapped.compile()
    return wrapped


class _Accelerated(nn.Module):
    """Runs a network under autocast; its output is float32.

    Args:
        network: features -> images.
        autocast: type of the device on which to compute in bfloat16; None: float32.
    """

    def __init__(self, network: nn.Module, autocast: str | None) -> None:
        super().__init__()
        self.network, self._autocast = network, autocast

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        with torch.autocast(self._autocast or "cpu", dtype=torch.bfloat16, enabled=self._autocast is not None):
            images: Tensor = self.network(features)
        return images.to(torch.float32)
