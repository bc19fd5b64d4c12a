"""Lossless encoding of one tensor.

The first byte gives the places that are sent (all; the non-zero ones, by index or by bitmap) and the form of the values
(float32; or levels of a lattice with or without zero). The shortest combination is used; all are exact, bit for bit.
Everything is little-endian. The receiver knows the number and type of the values from the model.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fedleak.client.postprocess.encoding.bits import pack, packed_size, unpack
from fedleak.client.postprocess.encoding.lattice import Floats, Lattice, find_lattice, restore

COUNT = struct.Struct("<I")
LATTICE = struct.Struct("<fH")  # step and highest level


class Places(IntEnum):
    """Places whose values are sent."""

    ALL = 0
    INDEX = 1
    BITMAP = 2


class Values(IntEnum):
    """Form in which the values are written."""

    FLOAT = 0
    LEVELS = 1
    LEVELS_WITHOUT_ZERO = 2


@dataclass(frozen=True)
class _Encoding:
    size: int
    places: Places
    values: Values


def encode_tensor(values: Floats) -> bytes:
    """The shortest exact form of flat float32 values ``(n,)``."""
    present = values.view(np.int32) != 0  # a negative zero is present: it must be restored as one
    count = int(np.count_nonzero(present))
    kept = values if count == len(values) else values[present]
    lattice = find_lattice(kept)
    plan = _shortest(len(values), count, lattice)
    parts = [bytes([plan.places << 4 | plan.values])]
    if plan.places == Places.INDEX:
        parts += [COUNT.pack(count), pack(np.flatnonzero(present).astype(np.uint32), index_width(len(values)))]
    elif plan.places == Places.BITMAP:
        parts.append(np.packbits(present, bitorder="little").tobytes())
    if lattice is None or plan.values == Values.FLOAT:
        parts.append((values if plan.places == Places.ALL else kept).astype("<f4").tobytes())
        return b"".join(parts)
    levels = lattice.levels
    if plan.places == Places.ALL and count < len(values):
        levels = np.zeros(len(values), dtype=np.int32)
        levels[present] = lattice.levels
    parts += [LATTICE.pack(lattice.step, lattice.highest), _pack_levels(levels, lattice.highest, plan.values)]
    return b"".join(parts)


def decode_tensor(data: memoryview, count: int) -> tuple[Floats, int]:
    """The values ``(count,)`` at the start of ``data``, and the number of bytes they took.

    Raises:
        ValueError: if the data are truncated or were not written by ``encode_tensor``.
    """
    reader = _ByteReader(data)
    tag = reader.take(1)[0]
    try:
        places, kind = Places(tag >> 4), Values(tag & 15)
    except ValueError:
        raise ValueError(f"unknown encoding {tag:#x}") from None
    where = _read_places(reader, places, count)
    sent = count if where is None else len(where)
    values = _read_values(reader, kind, sent)
    if where is None:
        return values, reader.position
    result = np.zeros(count, dtype=np.float32)
    result[where] = values
    return result, reader.position


def index_width(count: int) -> int:
    """Bits of an index into ``count`` places: ``ceil(log2(count))``."""
    return max(count - 1, 0).bit_length()


def level_width(highest: int, kind: Values) -> int:
    """Bits of a level: there are ``2 * highest`` non-zero levels, and zero if ``kind`` includes it."""
    return (2 * highest - (kind == Values.LEVELS_WITHOUT_ZERO)).bit_length()


def _shortest(total: int, count: int, lattice: Lattice | None) -> _Encoding:
    heads = {
        Places.ALL: (0, total),
        Places.INDEX: (COUNT.size + packed_size(count, index_width(total)), count),
        Places.BITMAP: (packed_size(total, 1), count),
    }
    plans = []
    for places, (head, sent) in heads.items():
        plans.append(_Encoding(head + 4 * sent, places, Values.FLOAT))
        if lattice is not None:
            kind = Values.LEVELS if sent > count else Values.LEVELS_WITHOUT_ZERO
            body = LATTICE.size + packed_size(sent, level_width(lattice.highest, kind))
            plans.append(_Encoding(head + body, places, kind))
    return min(plans, key=lambda plan: plan.size)


def _pack_levels(levels: NDArray[np.int32], highest: int, kind: Values) -> bytes:
    shifted = levels + np.int32(highest)
    if kind == Values.LEVELS_WITHOUT_ZERO:
        shifted -= levels > 0
    return pack(shifted.view(np.uint32), level_width(highest, kind))


class _ByteReader:
    def __init__(self, data: memoryview) -> None:
        self._data, self.position = data, 0

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes."""
        part = self._data[self.position : self.position + size]
        if len(part) < size:
            raise ValueError(f"the data end {size - len(part)} bytes early")
        self.position += size
        return part


def _read_places(reader: _ByteReader, places: Places, total: int) -> NDArray[np.int64] | None:
    """Indices of the sent values; None for all."""
    if places == Places.ALL:
        return None
    if places == Places.BITMAP:
        bits = np.frombuffer(reader.take(packed_size(total, 1)), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(bits, count=total, bitorder="little"))
    (count,) = COUNT.unpack(reader.take(COUNT.size))
    if count > total:  # without this, indices of no width would make billions of values of nothing
        raise ValueError(f"{count} indices of {total} values")
    width = index_width(total)
    where = unpack(reader.take(packed_size(count, width)), count, width).astype(np.int64)
    if count and where.max() >= total:
        raise ValueError(f"an index of {where.max()} among {total} values")
    return where


def _read_values(reader: _ByteReader, kind: Values, count: int) -> Floats:
    if kind == Values.FLOAT:
        return np.frombuffer(reader.take(4 * count), dtype="<f4").astype(np.float32)
    step, highest = LATTICE.unpack(reader.take(LATTICE.size))
    width = level_width(highest, kind)
    levels = unpack(reader.take(packed_size(count, width)), count, width).view(np.int32) - np.int32(highest)
    if kind == Values.LEVELS_WITHOUT_ZERO:
        levels += levels >= 0
    return restore(levels, np.float32(step))
