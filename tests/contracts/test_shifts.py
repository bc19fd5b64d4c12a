"""Every shift deals disjoint pools by labels alone."""

from __future__ import annotations

import numpy as np
import pytest

from fedleak.families import kinds
from fedleak.shift.base import Shift
from tests.builders import with_required

KINDS = list(kinds("shift"))
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 12))


def shift(kind: str) -> Shift:
    cls = kinds("shift")[kind]
    assert issubclass(cls, Shift)
    return with_required(cls)


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_of_every_image_what_it_may_be(kind: str) -> None:
    for eligible in shift(kind).eligible(LABELS):
        assert eligible.shape == LABELS.shape
        assert eligible.dtype == np.bool_
        assert eligible.any()


@pytest.mark.parametrize("kind", KINDS)
def test_pools_are_disjoint_and_eligible(kind: str) -> None:
    may_be_public, may_be_private = shift(kind).eligible(LABELS)
    public, private = shift(kind).pools(LABELS, public=30, generator=np.random.default_rng(0))
    assert len(public) == 30
    assert len(private) > 0
    assert not set(public) & set(private)
    assert may_be_public[public].all()
    assert may_be_private[private].all()


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_not_changed_and_the_generator_decides(kind: str) -> None:
    labels = LABELS.copy()
    first, again = (shift(kind).pools(labels, public=30, generator=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(labels, LABELS)
    for pool, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(pool, same)
