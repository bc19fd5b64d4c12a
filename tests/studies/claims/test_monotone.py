from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedleak.studies.claims.base import VerdictState
from fedleak.studies.claims.monotone import Monotone
from fedleak.studies.matrix import Label
from fedleak.studies.measurements import Measurements
from tests.studies.builders import measurements

NOISE = np.random.default_rng(0).normal(0, 0.01, 20)


def line(*means: float, labels: tuple[Label, ...] | None = None) -> Measurements:
    axis = labels or tuple(range(1, len(means) + 1))
    return measurements([({"p": x}, {"lti": {"mse": (m + NOISE).tolist()}}) for x, m in zip(axis, means, strict=True)])


def monotone(direction: str = "decreasing", **settings: Any) -> Monotone:
    return Monotone.model_validate({"metric": "mse", "along": "p", "direction": direction, **settings})


@pytest.mark.parametrize(
    ("means", "direction", "state"),
    [
        ((0.3, 0.2, 0.1), "decreasing", "reproduced"),
        ((0.3, 0.2, 0.1), "increasing", "not_reproduced"),
        ((0.3, 0.1, 0.2), "decreasing", "not_reproduced"),  # the ends fall, but the last step rises
        ((0.2, 0.1), "decreasing", "reproduced"),
        ((0.1, 0.2), "increasing", "reproduced"),
    ],
)
def test_by_hand(means: tuple[float, ...], direction: str, state: VerdictState) -> None:
    assert monotone(direction).judge(line(*means)).state == state


def test_a_flat_step_is_no_obstacle_unless_strict() -> None:
    measured = line(0.3, 0.2, 0.2)
    assert monotone().judge(measured).state == "reproduced"
    assert monotone(strict=True).judge(measured).state == "inconclusive"


def test_numbers_are_taken_in_rising_order_and_names_as_listed() -> None:
    assert monotone().judge(line(0.1, 0.3, 0.2, labels=(100, 1, 10))).state == "reproduced"
    assert monotone().judge(line(0.3, 0.2, 0.1, labels=("z", "m", "a"))).state == "reproduced"


def test_only_the_values_that_are_named_count_in_their_order() -> None:
    measured = line(0.3, 0.2, 0.1, 0.9, labels=("a", "b", "c", "none"))
    assert monotone().judge(measured).state == "not_reproduced"
    assert monotone(values=("a", "b", "c")).judge(measured).state == "reproduced"
    assert monotone(values=("c", "b", "a")).judge(measured).state == "not_reproduced"
    assert monotone(values=("a", "b", "d")).judge(measured).state == "inconclusive"


def test_the_margin_is_the_difference_of_the_ends() -> None:
    (check,) = monotone().check(line(0.3, 0.2, 0.1))
    assert check.value == pytest.approx(0.2)
    assert check.label == "lti: 1 to 3"


def test_every_attack_is_a_case_of_its_own() -> None:
    cells = [({"p": x}, {"a": {"mse": (x + NOISE).tolist()}, "b": {"mse": (NOISE - x).tolist()}}) for x in (1.0, 2.0)]
    measured = measurements(cells)
    assert [check.state for check in monotone().check(measured)] == ["not_reproduced", "reproduced"]
    assert monotone(where={"attack": "b"}).judge(measured).state == "reproduced"


def test_one_value_of_the_axis_decides_nothing() -> None:
    assert monotone().judge(line(0.3)).state == "inconclusive"


def test_a_single_image_decides_nothing() -> None:
    measured = measurements([({"p": x}, {"a": {"mse": [1 / x]}}) for x in (1.0, 2.0)])
    assert monotone().judge(measured).state == "inconclusive"


def test_words() -> None:
    assert monotone(where={"attack": "lti"}).statement() == "mse of lti falls along p"
    assert monotone(values=("a", "c")).statement() == "mse falls along p from a to c"
    assert monotone("increasing", strict=True).statement() == "mse rises at every step along p"


def test_one_of_many_steps_must_go_the_other_way_beyond_chance() -> None:
    """A step with p = 0.03 refutes a claim of two points, but not one of nine: 8 * 0.03 > 0.05."""
    noise = np.random.default_rng(3).normal(0, 1, 40)
    back = noise - noise.mean() + 2.25 * noise.std(ddof=1) / np.sqrt(40)  # t = 2.25 with 39 degrees: p = 0.03
    level = np.zeros(40)
    rows = [level + 20, *([level] * 7), back]  # falls once, then stays, then rises a little
    few = measurements([({"p": i}, {"a": {"mse": row.tolist()}}) for i, row in enumerate((level, back))])
    many = measurements([({"p": i}, {"a": {"mse": row.tolist()}}) for i, row in enumerate(rows)])
    (check,) = monotone().check(few)
    assert check.state == "not_reproduced"
    assert check.p == pytest.approx(0.03, abs=0.003)
    assert monotone().judge(many).state == "reproduced"
