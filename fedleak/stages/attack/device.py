"""Device of the attack stage."""

from __future__ import annotations

import torch

from fedleak.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is a GPU if there is one.

    Raises:
        InputError: if the device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device", name, "this machine has no Metal device")
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError("device", name, f"this machine has {torch.cuda.device_count()} CUDA devices")
    return device
