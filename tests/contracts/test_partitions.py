"""Every partition deals disjoint, non-empty, sorted index lists that depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError
from fedleak.families import kinds
from tests.builders import with_required

KINDS = list(kinds("partition"))
BY_CLASS = np.repeat(np.arange(5), 40)
SHUFFLED = np.random.default_rng(0).permutation(BY_CLASS)

pytestmark = pytest.mark.filterwarnings("ignore:Classes", "ignore:The specified min_partition_size")


def deal(kind: str, labels: Indices = SHUFFLED, *, clients: int = 4, seed: int = 1) -> tuple[Indices, ...]:
    cls = kinds("partition")[kind]
    assert issubclass(cls, Partition)
    return with_required(cls).split(labels, clients=clients, seed=seed)


@pytest.mark.parametrize("labels", [SHUFFLED, BY_CLASS], ids=["shuffled", "sorted"])
@pytest.mark.parametrize("clients", [1, 2, 4, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_disjoint_sorted_not_empty_and_within_the_data(kind: str, clients: int, labels: Indices) -> None:
    parts = deal(kind, labels, clients=clients)
    assert len(parts) == clients
    for part in parts:
        assert part.dtype == np.int64
        assert len(part) > 0
        assert (np.diff(part) > 0).all()
    together = np.concatenate(parts)
    assert len(set(together)) == len(together) <= len(labels)
    assert together.min() >= 0
    assert together.max() < len(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_and_global_streams_are_not_touched(kind: str) -> None:
    np.random.seed(3)  # noqa: NPY002 - the stream that must stay as it is
    expected = np.random.RandomState(3).random()
    first, again = deal(kind, seed=2**40 + 5), deal(kind, seed=2**40 + 5)
    assert np.random.random() == expected  # noqa: NPY002
    for part, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_not_changed(kind: str) -> None:
    labels = SHUFFLED.copy()
    deal(kind, labels)
    np.testing.assert_array_equal(labels, SHUFFLED)


@pytest.mark.parametrize("kind", KINDS)
def test_more_clients_than_images_are_an_input_error(kind: str) -> None:
    with pytest.raises(InputError, match=r"federation\.clients: got 11; there are only 10 private images"):
        deal(kind, SHUFFLED[:10], clients=11)
