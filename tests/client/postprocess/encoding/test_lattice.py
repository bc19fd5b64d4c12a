from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.encoding.lattice import find_lattice, restore


@given(
    step=st.floats(2**-90, 2**60, width=32),
    highest=st.integers(1, 2000),
    count=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_multiples_of_a_step_are_recognised_bit_for_bit(step: float, highest: int, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    levels = draw.integers(1, highest + 1, size=count) * draw.choice([-1, 1], size=count)
    values = levels.astype(np.float32) * np.float32(step)
    lattice = find_lattice(values)
    if np.abs(levels).min() > 256:  # more than it looks for
        return
    assert lattice is not None
    np.testing.assert_array_equal(restore(lattice.levels, lattice.step).view(np.int32), values.view(np.int32))
    assert np.abs(lattice.levels).max() == lattice.highest <= np.abs(levels).max()


@pytest.mark.parametrize(
    "values",
    [[], [0.0, 1.0], [np.nan, 1.0], [np.inf], [1.0, np.pi], [1e-30, 1e30], np.random.default_rng(0).normal(size=500)],
    ids=["none", "zero", "nan", "infinite", "irrational", "far apart", "normal"],
)
def test_other_values_lie_on_none(values: list[float]) -> None:
    assert find_lattice(np.array(values, dtype=np.float32)) is None


def test_the_lowest_level_may_be_absent() -> None:
    lattice = find_lattice(np.array([0.75, -1.25], dtype=np.float32))
    assert lattice is not None
    assert (float(lattice.step), lattice.highest, lattice.levels.tolist()) == (0.25, 5, [3, -5])
