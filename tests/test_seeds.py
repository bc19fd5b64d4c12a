from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak import seeds


def test_a_name_always_gives_the_same_seed() -> None:
    """Pinned: another value here changes every transcript ever recorded."""
    assert seeds.derive(0, "client", 1, 2) == 4968603880736488705


@given(st.integers(0, 2**40), st.lists(st.integers(0, 99) | st.text("abc", max_size=3), max_size=3))
def test_seeds_fit_into_63_bits(seed: int, name: list[int | str]) -> None:
    assert 0 <= seeds.derive(seed, *name) < 2**63


def test_different_names_give_different_seeds() -> None:
    names = [(0, "a", 1), (0, "a", 11), (0, "a1"), (0, "a", "1"), (1, "a", 1), (0, 1, "a"), (0, "a"), (0,), (0, 0)]
    assert len({seeds.derive(*name) for name in names}) == len(names)


def test_streams_do_not_depend_on_what_was_drawn_before() -> None:
    first = torch.rand(3, generator=seeds.torch_generator(5, "x"))
    torch.rand(10, generator=seeds.torch_generator(5, "y"))
    torch.rand(10)
    assert torch.equal(torch.rand(3, generator=seeds.torch_generator(5, "x")), first)


def test_numpy_streams_repeat_and_differ_by_name() -> None:
    draws = [seeds.numpy_generator(5, name).random(4) for name in ("x", "x", "y")]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_global_seed_holds_inside_the_block_only() -> None:
    state = torch.get_rng_state()
    with seeds.global_torch_seed(11):
        inside = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(inside, torch.rand(4, generator=torch.Generator().manual_seed(11)))


def test_global_state_comes_back_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(IndexError), seeds.global_torch_seed(11):
        torch.rand(4)[4]
    assert torch.equal(torch.get_rng_state(), state)


def test_names_cannot_be_confused_by_what_separates_their_parts() -> None:
    assert seeds.derive(0, "a", "b") != seeds.derive(0, "a/str:b")
    assert seeds.derive(0, "1") != seeds.derive(0, 1)
