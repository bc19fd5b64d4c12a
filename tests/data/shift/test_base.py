from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.data.shift.class_overlap import ClassOverlap
from fedleak.data.shift.none import NoShift
from fedleak.errors import InputError

LABELS = np.arange(20) % 4
SPLIT = ClassOverlap(public_classes=(0, 1), private_classes=(1, 2))


@given(public=st.integers(1, 10), seed=st.integers(0, 5))
def test_pools_are_sorted_disjoint_and_as_large_as_asked(public: int, seed: int) -> None:
    chosen, private = SPLIT.pools(LABELS, public=public, generator=np.random.default_rng(seed))
    assert len(chosen) == public
    for pool in (chosen, private):
        assert (np.diff(pool) > 0).all()
    assert not set(chosen) & set(private)


def test_every_other_eligible_image_is_private() -> None:
    chosen, private = NoShift().pools(LABELS, public=7, generator=np.random.default_rng(0))
    assert sorted([*chosen, *private]) == list(range(20))


def test_the_generator_decides() -> None:
    pools = [NoShift().pools(LABELS, public=7, generator=np.random.default_rng(s))[0] for s in (0, 0, 1)]
    assert np.array_equal(pools[0], pools[1])
    assert not np.array_equal(pools[0], pools[2])


def test_too_many_public_images_are_an_input_error() -> None:
    with pytest.raises(InputError, match=r"adversary\.public_images: got 11; at most 10 images can be public"):
        SPLIT.pools(LABELS, public=11, generator=np.random.default_rng(0))


def test_clients_must_keep_an_image() -> None:
    with pytest.raises(InputError, match="no image for the clients"):
        NoShift().pools(LABELS, public=20, generator=np.random.default_rng(0))
