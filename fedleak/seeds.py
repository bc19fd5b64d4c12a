"""Independent random generators, each derived by name from the scenario's seed.

A name such as ``("client", round, partition)`` always gives the same stream, whatever was drawn before. Results
therefore do not depend on the order in which clients reply, on the number of workers, or on whether a run was resumed.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

Name = str | int


def derive(seed: int, *name: Name) -> int:
    """A 63-bit seed for the stream called ``name``."""
    text = json.dumps([seed, *name])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, *name: Name, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for the stream called ``name``."""
    return torch.Generator(device=device).manual_seed(derive(seed, *name))


def numpy_generator(seed: int, *name: Name) -> np.random.Generator:
    """A numpy generator for the stream called ``name``."""
    return np.random.default_rng(derive(seed, *name))


@contextmanager
def global_torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generator inside the block and restore it afterwards.

    Only for library code that takes no generator: ``nn.Module`` initialisation and dropout.
    """
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def global_seeds(seed: int) -> Iterator[None]:
    """Seed the global generators of Python and numpy inside the block and restore them afterwards.

    Only for library code that takes no generator: Flower's secure aggregation and differential privacy.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - Flower draws from it
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
