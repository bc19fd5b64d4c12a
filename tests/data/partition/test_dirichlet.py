from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.partition.dirichlet import Dirichlet
from fedleak.errors import InputError

LABELS = np.random.default_rng(0).integers(0, 5, 1000)


def largest_share(alpha: float) -> float:
    """Mean over clients of the share of their most common class."""
    parts = Dirichlet(alpha=alpha).split(LABELS, clients=5, seed=3)
    return float(np.mean([np.bincount(LABELS[part]).max() / len(part) for part in parts]))


def test_small_alpha_skews_the_classes() -> None:
    assert largest_share(1000.0) < 0.3 < 0.6 < largest_share(0.1)


def test_every_client_holds_the_least_number() -> None:
    parts = Dirichlet(alpha=0.3, min_partition_size=40).split(LABELS, clients=5, seed=3)
    assert min(len(part) for part in parts) >= 40


@pytest.mark.filterwarnings("ignore:The specified min_partition_size")
def test_a_least_number_that_cannot_be_had_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"federation\.partition"):
        Dirichlet(alpha=0.01, min_partition_size=199).split(LABELS, clients=5, seed=3)
