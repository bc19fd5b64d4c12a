"""Rows on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedleak.errors import InputError
from fedleak.transcript.rows import RowFile, create_rows


def make_rows(folder: Path, values: NDArray[np.generic]) -> RowFile:
    """``values`` as a file of rows, open for writing."""
    path = folder / "rows.npy"
    create_rows(path, values.shape, values.dtype.name)
    rows = RowFile(path, writable=True)
    rows.write(0, values)
    return rows


@given(st.integers(1, 20), st.integers(1, 5), st.sampled_from(["float32", "float16", "uint8"]), st.data())
def test_any_rows_in_any_order(count: int, width: int, dtype: str, data: st.DataObject) -> None:
    values = np.arange(count * width).reshape(count, width).astype(dtype)
    wanted = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=30)), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        rows = make_rows(Path(folder), values)
        np.testing.assert_array_equal(rows.read(wanted), values[wanted])
        np.testing.assert_array_equal(np.load(Path(folder) / "rows.npy"), values)
        assert len(rows) == count


@given(st.integers(1, 12), st.data())
def test_rows_may_be_overwritten_in_pieces(count: int, data: st.DataObject) -> None:
    expected = np.zeros((count, 3), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        rows = make_rows(Path(folder), expected)
        for number in range(4):
            start = data.draw(st.integers(0, count - 1))
            piece = np.full((data.draw(st.integers(0, count - start)), 3), number, dtype=np.float32)
            rows.write(start, piece)
            expected[start : start + len(piece)] = piece
        np.testing.assert_array_equal(rows.read(np.arange(count)), expected)


@pytest.mark.parametrize("index", [-1, 4])
def test_rows_out_of_range(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError):
        make_rows(tmp_path, np.zeros((4, 2), dtype=np.float32)).read(np.array([0, index]))


@pytest.mark.parametrize(("start", "shape"), [(3, (2, 2)), (0, (1, 3))])
def test_rows_that_do_not_fit(tmp_path: Path, start: int, shape: tuple[int, int]) -> None:
    rows = make_rows(tmp_path, np.zeros((4, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        rows.write(start, np.ones(shape, dtype=np.float32))


def test_new_rows_are_zero_and_take_no_space(tmp_path: Path) -> None:
    create_rows(tmp_path / "big.npy", (1_000_000, 1000), "float32")
    assert (tmp_path / "big.npy").stat().st_blocks * 512 < 2**20
    assert not RowFile(tmp_path / "big.npy").read(np.array([999_999])).any()


def test_cut_foreign_and_object_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.zeros((4, 2), dtype=np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        RowFile(path)
    path.write_bytes(b"not an array")
    with pytest.raises(InputError, match="not a readable"):
        RowFile(path)
    np.save(path, np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="plain numbers"):
        RowFile(path)
    np.save(path, np.asfortranarray(np.zeros((4, 2))))
    with pytest.raises(InputError, match="C-ordered"):
        RowFile(path)


HEADERS = [
    b"{'descr': '<f4', 's\0\0",
    b"if True:\n   1\n  2",
    b"(" * 5000,
    b"-" * 9000 + b"1",
    b"{'shape': (",
    b"\xff\xfe",
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_that_numpy_cannot_parse_are_refused(tmp_path: Path, header: bytes, version: int) -> None:
    """numpy reads a header as Python, and lets errors of the tokenizer and the parser through."""
    path = tmp_path / "rows.npy"
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + size + header)
    with pytest.raises(InputError, match="not a readable"):
        RowFile(path)


def test_a_reader_cannot_write_and_knows_no_path(tmp_path: Path) -> None:
    make_rows(tmp_path, np.zeros((4, 2), dtype=np.float32))
    rows = RowFile(tmp_path / "rows.npy")
    with pytest.raises(OSError, match="Bad file descriptor"):
        rows.write(0, np.ones((1, 2), dtype=np.float32))
    assert not any(isinstance(value, str | Path) for value in vars(rows).values())
