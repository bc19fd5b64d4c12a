"""Writing arrays and tensors: a file is replaced as a whole, and an error names it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file

from fedleak.records import naming

UNREADABLE = (OSError, ValueError, EOFError, TokenError, SyntaxError, RecursionError, MemoryError)
"""What numpy raises for a damaged ``.npy`` file: it parses the header as Python."""


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Replace ``path`` by a ``.npy`` file.

    Raises:
        OSError: with the name of the file, such as on a full disk.
    """
    plain = np.ascontiguousarray(array)
    if plain.dtype.hasobject:
        raise ValueError(f"{path}: an array of objects cannot be written without pickle")
    with replacing(path) as temporary, temporary.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(plain))
        file.write(plain.data)  # numpy's own writer hides why a write failed


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Replace ``path`` by a safetensors file, with texts in its header.

    Raises:
        OSError: with the name of the file, such as on a full disk.
    """
    with replacing(path) as temporary:
        try:
            plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
            save_file(plain, temporary, metadata=dict(metadata) if metadata is not None else None)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code), str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, which takes its place when the block ends and vanishes if it fails.

    Raises:
        OSError: as raised inside the block, with the name ``path``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path):
            temporary.unlink(missing_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
