from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.partition.few_large import FewLarge
from fedleak.errors import InputError

LABELS = np.arange(100) % 5


def test_small_clients_hold_a_handful_and_the_large_ones_the_rest() -> None:
    parts = FewLarge(large=2, images=3).split(LABELS, clients=6, seed=1)
    assert [len(part) for part in parts] == [44, 44, 3, 3, 3, 3]
    assert sorted(np.concatenate(parts)) == list(range(100))


def test_images_are_drawn_from_everywhere() -> None:
    """By hand: the mean place of 90 of 100 images is near the middle, also where labels are sorted."""
    parts = FewLarge(large=1, images=5).split(np.sort(LABELS), clients=3, seed=2)
    assert abs(parts[0].mean() - 49.5) < 5
    assert len(set(LABELS[parts[1]])) > 1


def test_nothing_left_for_the_large_is_an_input_error() -> None:
    with pytest.raises(InputError, match="leave too few images"):
        FewLarge(large=2, images=33).split(LABELS, clients=5, seed=1)
