"""Large ``.npy`` arrays on disk, written and read a few rows at a time, never loaded as a whole.

Rows are read with positioned reads instead of a memory map, so that resident memory is limited to the requested rows.
A reader keeps only an open file descriptor and no path, so an attack cannot reach other files of the run through it.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fedleak.errors import InputError
from fedleak.transcript.files import UNREADABLE


def create_rows(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """Create a sparse ``.npy`` file of zeros with ``shape``."""
    with path.open("wb") as file:
        file.write(_header(shape, np.dtype(dtype)))
        file.truncate(file.tell() + math.prod(shape) * np.dtype(dtype).itemsize)


def _header(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> bytes:
    """The ``.npy`` header; numpy leaves room in it for the first dimension to grow."""
    buffer = io.BytesIO()
    npy.write_array_header_2_0(buffer, {"descr": dtype.str, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


class RowFile:
    """Positioned access to the rows of an existing ``.npy`` file.

    Args:
        path: the file.
        writable: open for reading and writing.

    Raises:
        InputError: if the file is not a C-ordered ``.npy`` array of plain numbers, or is truncated.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.shape, self.dtype, self._offset = _read_header(path)
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        expected = self._offset + self.shape[0] * self._row_bytes
        if path.stat().st_size != expected:
            raise InputError(path.name, path.stat().st_size, f"expected {expected} bytes; the file is damaged")
        self._descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)

    def __len__(self) -> int:
        return self.shape[0]

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.generic]:
        """Read rows ``indices`` ``(n,)`` in that order: ``(n, *row shape)``."""
        out = np.empty((len(indices), *self.shape[1:]), dtype=self.dtype)
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"rows {indices.min()}..{indices.max()} of {len(self)}")
        breaks = np.flatnonzero(np.diff(indices) != 1) + 1
        for first, last in zip([0, *breaks], [*breaks, len(indices)], strict=True):
            if first < last:
                self._read_into(out[first:last], int(indices[first]))
        return out

    def write(self, start: int, rows: NDArray[np.generic]) -> None:
        """Overwrite the rows from ``start``."""
        if rows.shape[1:] != self.shape[1:] or start + len(rows) > len(self):
            raise ValueError(f"rows {rows.shape} at {start} do not fit {self.shape}")
        data = np.ascontiguousarray(rows, dtype=self.dtype).reshape(-1).view(np.uint8).data
        position = self._offset + start * self._row_bytes
        while data:
            written = os.pwrite(self._descriptor, data, position)
            data, position = data[written:], position + written

    def grow(self, rows: int) -> None:
        """Extend the file to ``rows`` rows, filled with zeros; it never shrinks.

        Raises:
            ValueError: if the header of the file has no room for a larger shape.
        """
        if rows <= len(self):
            return
        shape = (rows, *self.shape[1:])
        header = _header(shape, self.dtype)
        if len(header) != self._offset:
            raise ValueError("the header of the file has no room for more rows")
        os.ftruncate(self._descriptor, self._offset + rows * self._row_bytes)
        os.pwrite(self._descriptor, header, 0)
        self.shape = shape

    def sync(self) -> None:
        """Flush all writes to disk."""
        os.fsync(self._descriptor)

    def _read_into(self, out: NDArray[np.generic], start: int) -> None:
        view = out.reshape(-1).view(np.uint8).data
        position = self._offset + start * self._row_bytes
        while view:
            count = os.preadv(self._descriptor, [view], position)
            if count == 0:
                raise OSError("unexpected end of file")
            view, position = view[count:], position + count


def _read_header(path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran_order, dtype = reader(file)
            offset = file.tell()
    except UNREADABLE as error:
        raise InputError(path.name, None, f"not a readable .npy file ({error})") from error
    if fortran_order or dtype.hasobject or not shape:
        raise InputError(path.name, str(dtype), "expected a C-ordered array of plain numbers")
    return shape, dtype, offset
