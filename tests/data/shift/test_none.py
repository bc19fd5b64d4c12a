from __future__ import annotations

import numpy as np

from fedleak.data.shift.none import NoShift


def test_every_image_may_be_either() -> None:
    public, private = NoShift().eligible(np.array([3, 1, 2]))
    assert public.tolist() == private.tolist() == [True, True, True]


def test_the_two_answers_are_separate_arrays() -> None:
    public, private = NoShift().eligible(np.array([3, 1, 2]))
    public[0] = False
    assert private.all()
