"""Measured values by place: what is found, averaged over seeds, and told by round."""

from __future__ import annotations

import math

import pytest

from fedleak.studies.measurements import ROUND, AttackPlace, Measurements
from fedleak.studies.records import CellRecord, Measured
from tests.studies.builders import RESAMPLES, measurements, record

SMALL, LARGE = {"adversary.injection.pairs": 30}, {"adversary.injection.pairs": 60}


def several() -> Measurements:
    """Two points, an attack and a baseline."""
    return measurements(
        [
            (SMALL, {"lti": {"mse": [0.4, 0.6]}, "baseline_mean_image": {"mse": [1.0, 1.0]}}),
            (LARGE, {"lti": {"mse": [0.1, 0.3], "ssim": [0.5, 0.7]}}),
        ]
    )


def test_places_are_found_by_part_of_an_axis_and_by_attack() -> None:
    found = several()
    assert found.places({"pairs": 30}) == [AttackPlace.of(SMALL, "lti")]
    assert found.places({}) == [AttackPlace.of(SMALL, "lti"), AttackPlace.of(LARGE, "lti")]
    assert found.places({"pairs": 31}) == []
    assert found.resolved({"pairs": 30, "attack": "lti"}) == {**SMALL, "attack": "lti"}


def test_baselines_are_found_if_asked_for_or_named() -> None:
    found, baseline = several(), AttackPlace.of(SMALL, "baseline_mean_image")
    assert baseline in found.places({}, baselines=True)
    assert found.places({"attack": "baseline_mean_image", "pairs": 30}) == [baseline]


def test_a_place_in_words_and_without_some_labels() -> None:
    place = AttackPlace.of(SMALL, "lti")
    assert several().describe(place) == "lti at pairs=30"
    assert place.without(["attack"]).by_name == SMALL
    assert several().describe(place.without(["attack"])) == "pairs=30"


def test_the_same_place_with_its_labels_in_another_order() -> None:
    found, place = several(), AttackPlace.of(SMALL, "lti")
    assert found.find(AttackPlace(tuple(reversed(place.labels)))) == place
    assert found.find(AttackPlace.of(SMALL, "dlg")) is None


def test_means_are_over_images_and_metrics_without_values_are_none() -> None:
    found = several()
    estimate = found.estimate(AttackPlace.of(LARGE, "lti"), "mse")
    assert estimate is not None
    assert estimate.interval.mean == pytest.approx(0.2)
    assert found.estimate(AttackPlace.of(SMALL, "lti"), "ssim") is None
    assert found.estimate(AttackPlace.of({"adversary.injection.pairs": 99}, "lti"), "mse") is None
    assert {name: value.mean for name, value in found.intervals(AttackPlace.of(LARGE, "lti")).items()} == {
        "mse": pytest.approx(0.2),
        "ssim": pytest.approx(0.6),
    }


def test_seeds_are_pooled() -> None:
    found = several()
    found.add(LARGE, 1, record({"lti": {"mse": [0.5, 0.7]}}, group="other"))
    place = AttackPlace.of(LARGE, "lti")
    estimate = found.estimate(place, "mse")
    assert estimate is not None
    assert estimate.interval.mean == pytest.approx(0.4)
    assert len(found.measured(place)) == 2


def test_values_that_are_not_finite_do_not_count() -> None:
    found = measurements([(SMALL, {"lti": {"mse": [0.4, math.inf, math.nan]}})])
    estimate = found.estimate(AttackPlace.of(SMALL, "lti"), "mse")
    assert estimate is not None
    assert estimate.interval.mean == pytest.approx(0.4)


def test_rounds_are_a_further_axis() -> None:
    measured = Measured(
        attack="lti",
        kind="lti",
        is_baseline=False,
        images=((1, 1, 0), (1, 2, 0), (2, 2, 0)),
        metrics={"mse": [0.1, 0.2, 0.4]},
    )
    found = Measurements(tuple(SMALL), RESAMPLES)
    found.add(SMALL, 0, CellRecord(key="k", federation="f", status="ok", seconds=1.0, attacks=(measured,)))
    by_round = found.by_round()
    assert by_round.axes == (*SMALL, ROUND)
    assert by_round is found.by_round()
    means = {}
    for place in by_round.places({}):
        estimate = by_round.estimate(place, "mse")
        assert estimate is not None
        means[place.by_name[ROUND]] = estimate.interval.mean
    assert means == {1: pytest.approx(0.1), 2: pytest.approx(0.3)}
    found.add(LARGE, 0, record({"lti": {"mse": [0.5]}}))
    assert len(found.by_round().places({})) == 3, "what is added later is told, too"


def test_a_failed_cell_adds_nothing() -> None:
    found = Measurements(tuple(SMALL), RESAMPLES)
    found.add(SMALL, 0, CellRecord(key="k", federation="f", status="failed", seconds=1.0, reason="no"))
    assert found.places({}) == []
