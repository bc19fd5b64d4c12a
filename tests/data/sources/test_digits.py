from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from fedleak.data.sources.digits import Digits


def test_splits_hold_every_digit_once_and_every_fifth_is_for_testing() -> None:
    splits, raw = Digits().load(), load_digits()
    assert (len(splits.train), len(splits.test)) == (1437, 360)
    np.testing.assert_array_equal(splits.test.labels, raw.target[::5])
    np.testing.assert_array_equal(splits.train.labels[:4], raw.target[1:5])


def test_sixteen_grey_levels_are_spread_over_all_of_uint8() -> None:
    splits, raw = Digits().load(), load_digits()
    assert splits.test.images.max() == 255
    np.testing.assert_allclose(splits.test.images[:, 0] / 255, raw.images[::5] / 16, atol=0.5 / 255)


def test_shape_and_names() -> None:
    splits = Digits().load()
    assert splits.input_shape == (1, 8, 8)
    assert splits.class_names == tuple("0123456789")


def test_the_first_classes_alone() -> None:
    splits, every = Digits(classes=2).load(), load_digits().target
    assert splits.class_names == ("0", "1")
    assert set(splits.train.labels) == {0, 1}
    assert len(splits.train) + len(splits.test) == (every < 2).sum()
