from __future__ import annotations

import numpy as np

from fedleak.data.partition.shards import Shards

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
