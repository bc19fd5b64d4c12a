from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.encoding.bits import pack, packed_size, unpack


def naive(numbers: list[int], width: int) -> bytes:
    """The documented planes, bit by bit."""
    whole, rest = divmod(width, 8)
    data = bytes(number >> 8 * plane & 255 for plane in range(whole) for number in numbers)
    bits = "".join(f"{number >> 8 * whole & 2**rest - 1:0{rest}b}"[::-1] for number in numbers) if rest else ""
    return data + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


@given(width=st.integers(0, 32), count=st.integers(0, 40), seed=st.integers(0, 1000))
def test_numbers_come_back_and_lie_where_they_should(width: int, count: int, seed: int) -> None:
    numbers = np.random.default_rng(seed).integers(2**width, size=count, dtype=np.uint64).astype(np.uint32)
    data = pack(numbers, width)
    assert data == naive(numbers.tolist(), width)
    assert len(data) == packed_size(count, width)
    np.testing.assert_array_equal(unpack(data, count, width), numbers)


@pytest.mark.parametrize("width", range(1, 33))
def test_the_size_is_the_width(width: int) -> None:
    assert packed_size(8000, width) == 1000 * width


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        pack(np.zeros(3, dtype=np.uint32), 33)
    with pytest.raises(ValueError, match="expected 2 bytes, got 1"):
        unpack(b"\0", 3, 5)
