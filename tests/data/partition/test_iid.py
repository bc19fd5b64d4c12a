from __future__ import annotations

import numpy as np

from fedleak.data.partition.iid import Iid

SORTED = np.repeat(np.arange(4), 50)


def test_shares_are_of_equal_size_and_use_every_image() -> None:
    parts = Iid().split(SORTED, clients=8, seed=1)
    assert [len(part) for part in parts] == [25] * 8
    assert sorted(np.concatenate(parts)) == list(range(200))


def test_labels_sorted_by_class_are_shuffled_before_dealing() -> None:
    parts = Iid().split(SORTED, clients=4, seed=1)
    counts = np.array([np.bincount(SORTED[part], minlength=4) for part in parts])
    assert counts.min() >= 4  # 12.5 expected of each class in each share
    assert counts.max() <= 25


def test_seed_decides() -> None:
    first, second = (Iid().split(SORTED, clients=4, seed=seed)[0] for seed in (1, 2))
    assert not np.array_equal(first, second)
