from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.partition.shards import Shards
from fedleak.errors import InputError

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 20))


def test_a_client_holds_as_many_classes_as_shards_when_shards_are_classes() -> None:
    """Ten classes of 20 images, five clients of two shards: a shard is a class."""
    for part in Shards(shards_per_client=2).split(LABELS, clients=5, seed=1):
        assert sorted(np.bincount(LABELS[part], minlength=10))[-2:] == [20, 20]
        assert len(part) == 40


def test_more_shards_mix_more_classes() -> None:
    few, many = (
        np.mean([len(np.unique(LABELS[p])) for p in Shards(shards_per_client=s).split(LABELS, clients=4, seed=1)])
        for s in (1, 10)
    )
    assert few < many


def test_more_shards_than_images_are_refused_with_their_number() -> None:
    with pytest.raises(InputError, match=r"shards_per_client: got 50; 5 clients need 250 shards .* 200 private images"):
        Shards(shards_per_client=50).split(LABELS, clients=5, seed=1)


def test_a_small_class_does_not_vanish_in_the_remainder() -> None:
    """23 images make 10 shards of two; the last three images, the two small classes, would be left out."""
    labels = np.array([0] * 20 + [1] * 2 + [2])
    with pytest.raises(InputError, match=r"23 private images do not fill 10 shards .* class 2"):
        Shards().split(labels, clients=5, seed=1)
