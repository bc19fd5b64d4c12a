"""Which images a client takes, and by which draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedleak.federation.sampling import draw_images, training_key
from fedleak.scenario.schema import ClientSettings


def drawn(*, number: int = 1, key: str = "0", held: int = 20, **settings: Any) -> list[int]:
    """Places."""
    given = ClientSettings(**({"batch_size": 5} | settings))
    return draw_images(given, key=key, round_number=number, held=held).tolist()


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


def test_each_key_and_round_has_draws_of_its_own() -> None:
    first = drawn()
    assert first == drawn()
    assert len({tuple(drawn(**change)) for change in ({}, {"number": 2}, {"key": "1"})}) == 3


def test_places_are_whole_numbers_that_index_arrays() -> None:
    places = draw_images(ClientSettings(batch_size=3), key="0", round_number=1, held=3)
    assert places.dtype == np.int64
    assert sorted(places.tolist()) == [0, 1, 2]


def test_where_gradients_decide_the_first_ones_are_taken_every_round() -> None:
    chosen = [drawn(selection="largest_gradients", number=number) for number in (1, 2)]
    assert chosen == [[0, 1, 2, 3, 4]] * 2


def test_training_keys_differ_by_round_and_client() -> None:
    assert len({training_key(key, number) for key in ("0", "1") for number in (1, 2)}) == 4
    assert training_key("0", 1) == training_key("0", 1)
