from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.encoding.tensors import COUNT, Places, Values, decode_tensor, encode_tensor
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.magnitude_pruning import MagnitudePruning
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.random_k import RandomK
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.client.postprocess.top_k import TopK
from fedleak.client.postprocess.uniform_quantisation import UniformQuantisation
from tests.client.postprocess.updates import SCALES, generator

SIZE = 50_000
STEPS: list[PostProcess] = [
    Qsgd(bits=1), Qsgd(bits=4), Qsgd(bits=8, scale="max"), UniformQuantisation(bits=5), SignSgd(), TopK(share=0.1),
    RandomK(share=0.3, rescale=True), MagnitudePruning(rate=0.9), GaussianNoise(std=0.1),
]  # fmt: skip


def shared(step: PostProcess, size: int = SIZE, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What a client shares of normally distributed values."""
    draws = generator(seed)
    values: np.ndarray[Any, np.dtype[np.float32]] = step.apply(
        {"w": torch.randn(size, generator=draws)}, generator=draws
    )["w"].numpy()
    return values


def check_exact(values: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Round trip, bit for bit, and behind other data."""
    data = encode_tensor(values)
    decoded, size = decode_tensor(memoryview(data + b"more"), len(values))
    assert size == len(data)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded.view(np.int32), values.view(np.int32))
    return data


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.kind)
@given(size=st.integers(1, 200), seed=st.integers(0, 99))
def test_what_is_shared_comes_back_bit_for_bit(step: PostProcess, size: int, seed: int) -> None:
    assert len(check_exact(shared(step, size, seed))) <= 1 + 4 * size


@given(scale=st.sampled_from(SCALES), size=st.integers(0, 50), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_any_values_come_back_bit_for_bit(scale: float, size: int, share: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = (draw.uniform(-1, 1, size) * scale * (draw.uniform(size=size) < share)).astype(np.float32)  # -0.0 too
    check_exact(values)


@pytest.mark.parametrize("odd", [[np.nan, 1.0, -0.0], [np.inf, -np.inf], [1e-45, -1e-45, 3e-45], [0.0], []])
def test_odd_values_come_back_bit_for_bit(odd: list[float]) -> None:
    check_exact(np.array(odd, dtype=np.float32))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("scale", ["l2", "max"])
def test_qsgd_takes_at_most_its_bits_and_a_sign(bits: Literal[1, 2, 3, 4, 8], scale: Literal["l2", "max"]) -> None:
    size = 8 * len(check_exact(shared(Qsgd(bits=bits, scale=scale)))) / SIZE
    assert size <= 1.05 * (bits + 1)
    if scale == "max" and bits > 2:
        assert size >= 0.95 * (bits + 1), "so many levels are in use that nothing can be saved"


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_top_k_takes_a_value_and_an_index_each(share: float) -> None:
    values = shared(TopK(share=share))
    bound = math.ceil(share * SIZE) * (32 + math.ceil(math.log2(SIZE)))
    size = 8 * len(check_exact(values))
    assert size <= 1.05 * bound
    if share <= 0.01:
        assert size >= 0.95 * bound


@pytest.mark.parametrize(("bits", "expected"), [(2, 2), (5, 5), (12, 12)])
def test_uniform_quantisation_takes_its_bits(bits: int, expected: int) -> None:
    assert 8 * len(check_exact(shared(UniformQuantisation(bits=bits)))) / SIZE <= 1.01 * expected


def test_signs_take_one_bit() -> None:
    assert len(check_exact(shared(SignSgd()))) == 1 + 6 + SIZE // 8


def test_combined_steps_take_less_than_either() -> None:
    draws = generator()
    kept = TopK(share=0.05).apply({"w": torch.randn(SIZE, generator=draws)}, generator=draws)
    both = Qsgd(bits=4, scale="max").apply(kept, generator=draws)["w"].numpy()
    assert len(check_exact(both)) < min(0.5 * len(encode_tensor(kept["w"].numpy())), 0.25 * 5 * SIZE / 8)


def test_dense_values_take_four_bytes_and_one_more() -> None:
    assert len(check_exact(shared(GaussianNoise(std=1.0)))) == 1 + 4 * SIZE


def test_zeros_take_next_to_nothing() -> None:
    assert len(check_exact(np.zeros(SIZE, dtype=np.float32))) == 5


@given(data=st.binary(max_size=40), count=st.integers(0, 20))
def test_foreign_data_are_refused_or_read_and_never_anything_else(data: bytes, count: int) -> None:
    try:
        values, size = decode_tensor(memoryview(data), count)
    except ValueError:
        return
    assert len(values) == count
    assert size <= len(data)


@pytest.mark.parametrize("total", [0, 1, 5])
def test_more_indices_than_values_are_refused_before_memory_is_taken(total: int) -> None:
    """Indices into one value have no width, so any number of them fits into no bytes."""
    data = bytes([Places.INDEX << 4 | Values.FLOAT]) + COUNT.pack(2**32 - 1) + bytes(40)
    with pytest.raises(ValueError, match=f"4294967295 indices of {total} values"):
        decode_tensor(memoryview(data), total)


def test_damage_is_named() -> None:
    whole = encode_tensor(shared(TopK(share=0.01)))
    with pytest.raises(ValueError, match="3 bytes early"):
        decode_tensor(memoryview(whole[:-3]), SIZE)
    with pytest.raises(ValueError, match="unknown encoding 0xff"):
        decode_tensor(memoryview(b"\xff"), 1)
    assert whole[0] == Places.INDEX << 4 | Values.FLOAT
