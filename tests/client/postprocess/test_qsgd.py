from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess import qsgd
from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.qsgd import Qsgd
from tests.client.postprocess.updates import LARGEST, generator, updates

BITS: list[Literal[1, 2, 3, 4, 8]] = [1, 2, 3, 4, 8]


def naive(values: list[float], draws: list[float], *, bits: int, scale: str) -> list[float]:
    """Equation 3 in double precision, value by value."""
    norm = math.hypot(*values) if scale == "l2" else max(map(abs, values))
    levels = 2**bits - 1
    result = []
    for value, draw in zip(values, draws, strict=True):
        position = levels * abs(value) / norm if norm else 0.0
        level = math.floor(position) + (1 if draw >= 1 - (position - math.floor(position)) else 0)
        result.append(max(-LARGEST, min(LARGEST, math.copysign(level * norm / levels, value))))
    return result


@pytest.mark.parametrize("scale", ["l2", "max"])
@pytest.mark.parametrize("bits", BITS)
@given(update=updates(), seed=st.integers(0, 100))
def test_against_the_definition(
    bits: Literal[1, 2, 3, 4, 8], scale: Literal["l2", "max"], update: Update, seed: int
) -> None:
    result = Qsgd(bits=bits, scale=scale).apply(update, generator=generator(seed))
    draws = generator(seed)
    for name, tensor in update.items():
        if not tensor.is_floating_point() or not tensor.numel():
            assert torch.equal(result[name], tensor)
            continue
        values = tensor.flatten().tolist()
        drawn = torch.rand(tensor.shape, generator=draws).flatten().tolist()
        expected = torch.tensor(naive(values, drawn, bits=bits, scale=scale), dtype=torch.float64)
        actual = result[name].flatten().double()
        step = max(map(abs, values)) * math.sqrt(len(values)) / (2**bits - 1)
        off = (actual - expected).abs() > 1e-5 * expected.abs() + 1e-37
        # Where a draw lies on the edge between two levels, rounding decides: one step off, and rarely.
        assert ((actual - expected).abs()[off] <= 1.001 * step + 1e-37).all()
        assert int(off.sum()) <= 1


@pytest.mark.parametrize("bits", BITS)
def test_the_mean_of_a_million_draws_is_the_value_to_a_thousandth(bits: Literal[1, 2, 3, 4, 8]) -> None:
    for value in (0.3, -0.777, 1e-3):
        tensor = torch.full((10**6 + 1,), value)
        tensor[-1] = 1.0  # the scale
        result = Qsgd(bits=bits, scale="max").apply({"w": tensor}, generator=generator(bits))["w"]
        assert float(result[:-1].double().mean()) == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("bits", BITS)
def test_the_mean_under_the_euclidean_norm_is_right_within_its_standard_error(bits: Literal[1, 2, 3, 4, 8]) -> None:
    tensor = torch.tensor([0.3, -0.7]).repeat(500_000)
    result = Qsgd(bits=bits).apply({"w": tensor}, generator=generator(bits))["w"].double()
    step = float(torch.linalg.vector_norm(tensor.double())) / (2**bits - 1)
    for part, value in ((result[::2], 0.3), (result[1::2], -0.7)):
        standard_error = math.sqrt(step * abs(value) / len(part))
        assert float(part.mean()) == pytest.approx(value, abs=4 * standard_error)


@pytest.mark.parametrize("scale", ["l2", "max"])
@pytest.mark.parametrize("bits", BITS)
def test_the_expected_value_is_the_value_to_a_thousandth(
    bits: Literal[1, 2, 3, 4, 8], scale: Literal["l2", "max"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean over a million values has a standard error of up to half a step over a thousand, and under the Euclidean
    norm of a million values a step is hundreds of values long. Draws spread evenly over [0, 1) have no such error."""
    values, count = torch.tensor([0.3, -0.7, 1e-3, 0.0, -0.05]), 2000
    draws = iter([(i + 0.5) / count for i in range(count)])
    monkeypatch.setattr(qsgd, "uniform_like", lambda tensor, _: torch.full_like(tensor, next(draws)))
    step = Qsgd(bits=bits, scale=scale)
    shared = torch.stack([step.apply({"w": values}, generator=generator())["w"] for _ in range(count)])
    assert (shared.double().mean(dim=0) - values).abs().max() < 1e-3


def test_a_value_alone_is_its_own_norm() -> None:
    assert Qsgd(bits=1).apply({"w": torch.tensor([-2.5])}, generator=generator())["w"].item() == -2.5


def test_there_are_no_other_bits() -> None:
    with pytest.raises(ValueError, match="bits"):
        Qsgd.model_validate({"bits": 5})
