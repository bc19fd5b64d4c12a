"""Check that the machine has the resources that the engine asks for; Flower and Ray would hang or abort instead."""

from __future__ import annotations

import socket

import psutil

from fedleak.errors import InputError
from fedleak.scenario.schema import SimulationEngine

CONNECT_SECONDS = 5.0


def check_resources(engine: SimulationEngine) -> None:
    """Reject an engine whose clients could never be scheduled; Flower would wait forever.

    Raises:
        InputError: naming the setting.
    """
    if engine.kind == "serial":
        return
    if engine.address is not None:
        _check_address(engine.address)
        return
    import torch

    cpus = engine.cpus or psutil.cpu_count() or 1
    if engine.client_cpus > cpus:
        raise InputError("federation.engine.client_cpus", engine.client_cpus, f"this machine has {cpus} CPUs")
    gpus = torch.cuda.device_count()
    if engine.client_gpus > gpus:
        raise InputError("federation.engine.client_gpus", engine.client_gpus, f"this machine has {gpus} GPUs")


def _check_address(address: str) -> None:
    """Check that a Ray cluster answers at the address; Ray itself would end the whole process if none does."""
    host, separator, port = address.rpartition(":")
    if address == "auto":
        return
    if not separator or not port.isdecimal():
        raise InputError("federation.engine.address", address, "expected auto or host:port")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError("federation.engine.address", address, f"no Ray cluster answers there ({error})") from error
