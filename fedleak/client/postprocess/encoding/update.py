"""Encoding of a whole update: its encoded tensors concatenated in the order of the model's parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fedleak.client.postprocess.encoding.tensors import decode_tensor, encode_tensor


def encode_update(tensors: Mapping[str, Tensor]) -> bytes:
    """Encode every float32 tensor losslessly; other types (counters, double buffers) are copied from memory.

    Names and shapes are not sent: server and client both know the model.
    """
    return b"".join(_encode(tensor.detach().cpu().contiguous()) for tensor in tensors.values())


def decode_update(data: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``encode_update``.

    Args:
        data: the received bytes.
        like: tensors with the shapes and types that were sent, in the same order; their values are not read.

    Raises:
        ValueError: if the data are too short or too long, or were not written by ``encode_update``.
    """
    rest, result = memoryview(data), {}
    for name, tensor in like.items():
        try:
            result[name], size = _decode(rest, tensor)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        rest = rest[size:]
    if len(rest):
        raise ValueError(f"{len(rest)} bytes follow the last tensor")
    return result


def _encode(tensor: Tensor) -> bytes:
    values = tensor.numpy().reshape(-1)
    return encode_tensor(values) if tensor.dtype == torch.float32 else values.tobytes()


def _decode(data: memoryview, like: Tensor) -> tuple[Tensor, int]:
    if like.dtype == torch.float32:
        values, size = decode_tensor(data, like.numel())
        return torch.from_numpy(values).reshape(like.shape), size
    size = like.numel() * like.element_size()
    if len(data) < size:
        raise ValueError(f"the data end {size - len(data)} bytes early")
    raw = np.frombuffer(data[:size], dtype=torch.empty(0, dtype=like.dtype).numpy().dtype)
    return torch.from_numpy(raw.copy()).reshape(like.shape), size
