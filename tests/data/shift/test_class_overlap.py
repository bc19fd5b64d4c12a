from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fedleak.data.shift.class_overlap import ClassOverlap

LABELS = np.array([0, 1, 2, 3, 1, 0])


def test_classes_decide_and_shared_classes_may_be_either() -> None:
    public, private = ClassOverlap(public_classes=(0, 1), private_classes=(1, 2)).eligible(LABELS)
    assert public.tolist() == [True, True, False, False, True, True]
    assert private.tolist() == [False, True, True, False, True, False]


def test_defaults_are_the_papers_eight_and_eight_classes_of_ten() -> None:
    shift = ClassOverlap()
    assert shift.public_classes == tuple(range(8))
    assert shift.private_classes == tuple(range(2, 10))


def test_pools_hold_their_own_classes_only() -> None:
    shift = ClassOverlap(public_classes=(0, 1), private_classes=(1, 2))
    public, private = shift.pools(LABELS, public=3, generator=np.random.default_rng(0))
    assert set(LABELS[public]) <= {0, 1}
    assert set(LABELS[private]) <= {1, 2}


def test_negative_classes_are_refused() -> None:
    with pytest.raises(ValidationError):
        ClassOverlap(public_classes=(-1,))
