"""Independent random generators, each derived by name from a root: a public seed, or a secret key.

A name such as ``("client", round, partition)`` always gives the same stream, whatever was drawn before. Results
therefore do not depend on the order in which clients reply, on the number of workers, or on whether a run was resumed.

Streams of a seed can be recomputed by anyone who knows or guesses the seed. Streams of a key cannot: each is set from
HMAC-SHA256 of its name under the key, and fills the whole state of its generator, because torch keeps only 32 bits of a
seed on CPUs, few enough to try them all. The generators themselves are not cryptographic: who knows some 20,000 bits of
one stream exactly can compute its remainder, but neither the key nor another stream.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

Name = str | int
Root = int | str
"""A seed (public), or a key: any text of high entropy, such as what ``key`` returns."""

_WORDS, _STATE_BYTES, _STATE_START = 624, 5056, 24


def _digest(root: Root, *name: Name | list[Name]) -> bytes:
    if isinstance(root, int):
        return hashlib.sha256(json.dumps([root, *name]).encode()).digest()
    return hmac.digest(root.encode(), json.dumps(name).encode(), "sha256")


def key(root: Root, *name: Name) -> str:
    """A key of 256 bits, in hexadecimal, from which neither ``root`` nor a key of another name can be computed."""
    return _digest(root, list(name)).hex()  # in a list of its own: no generator has such a name


def derive(root: Root, *name: Name) -> int:
    """A 63-bit seed for the stream called ``name``."""
    return int.from_bytes(_digest(root, *name)[:8], "big") >> 1


def torch_generator(root: Root, *name: Name, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for the stream called ``name``."""
    generator = torch.Generator(device=device).manual_seed(derive(root, *name))
    if isinstance(root, str) and generator.device.type == "cpu":
        generator.set_state(_full_state(generator.get_state(), root, *name))
    return generator


def numpy_generator(root: Root, *name: Name) -> np.random.Generator:
    """A numpy generator for the stream called ``name``."""
    if isinstance(root, int):
        return np.random.default_rng(derive(root, *name))
    return np.random.default_rng(int.from_bytes(_digest(root, *name), "big"))


def _full_state(state: torch.Tensor, root: str, *name: Name) -> torch.Tensor:
    """The state ``(5056,)`` uint8 of a CPU generator, with the words of its Mersenne Twister set from the key."""
    if state.shape != (_STATE_BYTES,):
        raise RuntimeError(f"torch's CPU generator has a state of {len(state)} bytes; expected {_STATE_BYTES}")
    words = np.frombuffer(hashlib.shake_256(_digest(root, *name)).digest(4 * _WORDS), dtype="<u4")
    raw = state.numpy().copy()
    raw[_STATE_START : _STATE_START + 8 * _WORDS] = words.astype("<u8").view(np.uint8)
    return torch.from_numpy(raw)


@contextmanager
def global_torch_seed(root: Root) -> Iterator[None]:
    """Seed torch's global generator inside the block and restore it afterwards.

    Only for library code that takes no generator: ``nn.Module`` initialisation and dropout.
    """
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(root if isinstance(root, int) else derive(root, "global"))
        if isinstance(root, str):
            torch.set_rng_state(_full_state(torch.get_rng_state(), root, "global"))
        yield


@contextmanager
def global_seeds(root: Root) -> Iterator[None]:
    """Seed the global generators of Python and numpy inside the block and restore them afterwards.

    Only for library code that takes no generator: Flower's secure aggregation and differential privacy.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - Flower draws from it
    digest = _digest(root, "global")
    random.seed(int.from_bytes(digest, "big"))
    np.random.seed(np.frombuffer(digest, dtype="<u4"))  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
