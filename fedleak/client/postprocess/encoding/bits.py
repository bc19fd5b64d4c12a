"""Packing of unsigned integers of any bit width without gaps.

A width of ``8 q + r`` bits is stored as ``q`` planes of bytes, lowest first, and one plane of ``r`` bits, in which the
smallest group of numbers that fills whole bytes (at most eight) shares a word. A plane takes a few vectorised passes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint32]
WIDEST = 32


def packed_size(count: int, width: int) -> int:
    """Bytes of ``count`` numbers of ``width`` bits; every plane is rounded up to whole bytes."""
    return count * (width // 8) + -(-count * (width % 8) // 8)


def pack(numbers: Numbers, width: int) -> bytes:
    """Pack numbers ``(n,)`` below ``2^width``; their higher bits are lost.

    Raises:
        ValueError: if the width is not between 0 and 32.
    """
    _check(width)
    planes = [(numbers >> np.uint32(shift)).astype(np.uint8).tobytes() for shift in range(0, width // 8 * 8, 8)]
    rest = width % 8
    if rest:
        low = (numbers >> np.uint32(width - rest)).astype(np.uint8) & np.uint8(2**rest - 1)
        planes.append(_pack_narrow(low, rest))
    return b"".join(planes)


def unpack(data: bytes | memoryview, count: int, width: int) -> Numbers:
    """The inverse of ``pack``.

    Raises:
        ValueError: if the width is not between 0 and 32, or the data are not ``packed_size(count, width)`` bytes.
    """
    _check(width)
    if len(data) != packed_size(count, width):
        raise ValueError(
            f"{count} numbers of {width} bits: expected {packed_size(count, width)} bytes, got {len(data)}"
        )
    numbers = np.zeros(count, dtype=np.uint32)
    planes = np.frombuffer(data, dtype=np.uint8)
    for plane in range(width // 8):
        numbers |= planes[plane * count : (plane + 1) * count].astype(np.uint32) << np.uint32(8 * plane)
    rest = width % 8
    if rest:
        numbers |= _unpack_narrow(planes[width // 8 * count :], count, rest) << np.uint32(width - rest)
    return numbers


def _check(width: int) -> None:
    if not 0 <= width <= WIDEST:
        raise ValueError(f"width: expected 0 to {WIDEST} bits, got {width}")


def _group(width: int) -> tuple[int, int, np.dtype[np.unsignedinteger]]:
    """Numbers per word, bytes per word, and a data type that holds a word."""
    numbers = 8 // math.gcd(width, 8)
    size = numbers * width // 8
    return numbers, size, np.dtype("u1" if size == 1 else "<u4" if size <= 4 else "<u8")


def _pack_narrow(values: NDArray[np.uint8], width: int) -> bytes:
    """Pack values below ``2^width``, ``1 <= width <= 7``."""
    if width == 1:
        return np.packbits(values, bitorder="little").tobytes()
    per_word, size, word = _group(width)
    padded = np.pad(values, (0, -len(values) % per_word)).reshape(-1, per_word)
    words = padded[:, 0].astype(word)
    for place in range(1, per_word):
        words |= padded[:, place].astype(word) << word.type(place * width)
    data = np.ascontiguousarray(words.view(np.uint8).reshape(len(words), word.itemsize)[:, :size]).tobytes()
    return data[: packed_size(len(values), width)]


def _unpack_narrow(data: NDArray[np.uint8], count: int, width: int) -> Numbers:
    if width == 1:
        return np.unpackbits(data, count=count, bitorder="little").astype(np.uint32)
    per_word, size, word = _group(width)
    length = -(-count // per_word)
    raw = np.zeros((length, word.itemsize), dtype=np.uint8)
    raw[:, :size] = np.pad(data, (0, length * size - len(data))).reshape(length, size)
    words = raw.view(word)[:, 0]
    mask = word.type(2**width - 1)
    values = np.empty((length, per_word), dtype=np.uint32)
    for place in range(per_word):
        values[:, place] = (words >> word.type(place * width)) & mask
    return values.reshape(-1)[:count]
