from __future__ import annotations

import random

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


KEY = seeds.key(7, "a run")


@pytest.mark.parametrize("root", [5, KEY])
def test_streams_repeat_and_differ_by_name_and_root(root: seeds.Root) -> None:
    for draw in (lambda *name: seeds.torch_generator(*name).get_state(), lambda *name: seeds.key(*name)):
        assert str(draw(root, "x", 1)) == str(draw(root, "x", 1))
        assert len({str(draw(*name)) for name in [(root, "x", 1), (root, "x", 2), (root, "x"), ("other", "x", 1)]}) == 4


def test_a_key_is_not_shown_by_any_generator_of_its_root() -> None:
    """A generator tells 63 bits of its own digest; these must not begin a key."""
    for name in [("x",), ("key",), ("key", '["x"]')]:
        told = seeds.torch_generator(KEY, *name).initial_seed()
        assert told not in {int(seeds.key(KEY, other)[:16], 16) >> 1 for other in ("x", "key", '["x"]')}


def test_a_keyed_torch_generator_has_more_than_the_32_bits_that_torch_keeps_of_a_seed() -> None:
    """Torch's own seeding repeats after 2^32; a keyed stream is none of its streams, but the Mersenne Twister's."""
    wrapped = [torch.rand(4, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5 + 2**32)]
    assert torch.equal(wrapped[0], wrapped[1]), "the reason for the full state"
    generator = seeds.torch_generator(KEY, "x")
    plain = torch.Generator().manual_seed(generator.initial_seed())
    assert not torch.equal(torch.rand(4, generator=generator), torch.rand(4, generator=plain))

    state = seeds.torch_generator(KEY, "x").get_state().numpy()
    words = state[24 : 24 + 624 * 8].view("<u8").astype(np.uint32)
    reference = np.random.RandomState()
    reference.set_state(("MT19937", words, 624))
    drawn = torch.empty(700, dtype=torch.int64).random_(0, 2**20, generator=seeds.torch_generator(KEY, "x"))
    assert (drawn.numpy() == reference.randint(0, 2**32, 700, dtype=np.uint64) % 2**20).all()


def test_keyed_normal_draws_are_standard_normal() -> None:
    drawn = torch.randn(200_000, generator=seeds.torch_generator(KEY, "noise"))
    assert abs(float(drawn.mean())) < 0.01
    assert float(drawn.std()) == pytest.approx(1.0, abs=0.01)


def test_global_generators_follow_a_key_inside_the_block_only() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index] # noqa: NPY002
    inside = []
    for root in (KEY, KEY, seeds.key(KEY, "other")):
        with seeds.global_torch_seed(root), seeds.global_seeds(root):
            inside.append((torch.rand(1).item(), np.random.random(), random.random()))  # noqa: NPY002, S311
    assert inside[0] == inside[1]
    assert all(a != b for a, b in zip(inside[0], inside[2], strict=True))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index] # noqa: NPY002
    assert random.getstate() == before[2]
