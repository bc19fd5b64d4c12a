from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.partition.one_per_class import OnePerClass
from fedleak.errors import InputError

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 8))


@pytest.mark.parametrize("count", [1, 4, 10])
def test_no_client_holds_two_images_of_a_class(count: int) -> None:
    parts = OnePerClass(classes_per_client=count).split(LABELS, clients=8, seed=1)
    for part in parts:
        assert len(part) == len(set(LABELS[part])) == count


def test_classes_are_spread_evenly() -> None:
    """8 clients of 5 out of 10 classes use every class 4 times."""
    parts = OnePerClass(classes_per_client=5).split(LABELS, clients=8, seed=1)
    assert np.bincount(LABELS[np.concatenate(parts)]).tolist() == [4] * 10


def test_too_many_classes_or_clients_are_input_errors() -> None:
    with pytest.raises(InputError, match="there are 10 classes"):
        OnePerClass(classes_per_client=11).split(LABELS, clients=2, seed=1)
    with pytest.raises(InputError, match="suffice for 8 clients"):
        OnePerClass(classes_per_client=10).split(LABELS, clients=9, seed=1)
