"""Which images a client takes, and by which draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedleak.federation.sampling import draw_images, training_seed
from fedleak.scenario.schema import ClientSettings


def drawn(*, number: int = 1, client: int = 0, seed: int = 0, held: int = 20, **settings: Any) -> list[int]:
    """Places."""
    given = ClientSettings(**({"batch_size": 5} | settings))
    return draw_images(given, seed=seed, round_number=number, client=client, held=held).tolist()


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 5),
        ({"protocol": "fedavg"}, 20),
        ({"protocol": "fedavg", "samples": 7}, 7),
    ],
)
def test_as_many_as_the_protocol_takes_and_none_twice(settings: dict[str, Any], count: int) -> None:
    places = drawn(**settings)
    assert len(set(places)) == len(places) == count
    assert set(places) <= set(range(20))


def test_each_seed_round_and_client_has_draws_of_its_own() -> None:
    first = drawn()
    assert first == drawn()
    assert len({tuple(drawn(**change)) for change in ({}, {"number": 2}, {"client": 1}, {"seed": 1})}) == 4


def test_places_are_whole_numbers_that_index_arrays() -> None:
    places = draw_images(ClientSettings(batch_size=3), seed=0, round_number=1, client=0, held=3)
    assert places.dtype == np.int64
    assert sorted(places.tolist()) == [0, 1, 2]


def test_where_gradients_decide_the_first_ones_are_taken_every_round() -> None:
    chosen = [drawn(selection="largest_gradients", number=number) for number in (1, 2)]
    assert chosen == [[0, 1, 2, 3, 4]] * 2


def test_training_seeds_differ_by_round_and_client() -> None:
    seeds = {training_seed(seed, number, client) for seed in (0, 1) for number in (1, 2) for client in (0, 1)}
    assert len(seeds) == 8
    assert training_seed(0, 1, 0) == training_seed(0, 1, 0)
