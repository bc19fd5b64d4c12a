from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.partition.by_class import ByClass
from fedleak.errors import InputError

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 20))


@pytest.mark.filterwarnings("ignore:Classes")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_client_holds_exactly_so_many_classes(count: int) -> None:
    parts = ByClass(classes_per_client=count).split(LABELS, clients=5, seed=1)
    assert [len(np.unique(LABELS[part])) for part in parts] == [count] * 5


def test_more_classes_than_there_are_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"classes_per_client: got 11; the private images are of 10 classes"):
        ByClass(classes_per_client=11).split(LABELS, clients=5, seed=1)
