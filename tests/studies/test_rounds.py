"""Rounds as an axis of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.errors import InputError
from fedleak.results.schema import Interval
from fedleak.studies.claims.correlates import Correlates
from fedleak.studies.claims.less import Less
from fedleak.studies.claims.monotone import Monotone
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.measurements import Measurements
from fedleak.studies.records import CellRecord, Measured
from fedleak.studies.report.build import write_study_report
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.studies.builders import RESAMPLES, study

NOISE = np.random.default_rng(0).normal(0, 1, 12)
ROUNDS = (1, 5, 9)
STEPS = ("1 to 9", "1 to 5", "5 to 9")


def cell(**metrics: tuple[float, float, float]) -> CellRecord:
    """One image of each of twelve victims in each of three rounds; shared noise is large beside the means."""
    images = tuple((i, number, 0) for number in ROUNDS for i in range(12))
    columns = {name: [float(mean + n) for mean in means for n in NOISE] for name, means in metrics.items()}
    measured = Measured(attack="a", kind="a", is_baseline=False, images=images, metrics=columns)
    beaten = {name: [-1000.0] * len(images) for name in metrics}
    baseline = measured.model_copy(update={"attack": "baseline", "is_baseline": True, "metrics": beaten})
    return CellRecord(
        key="k",
        federation="f",
        images="g",
        status="ok",
        seconds=1.0,
        higher_is_better=tuple(metrics),
        attacks=(measured, baseline),
    )


def measured(**models: dict[str, tuple[float, float, float]]) -> Measurements:
    found = Measurements(("model",), RESAMPLES)
    for name, metrics in models.items():
        found.add({"model": name}, 0, cell(**metrics))
    return found


def test_a_round_is_a_place_and_its_means_are_those_of_its_images() -> None:
    by_round = measured(m={"psnr": (20.0, 15.0, 10.0)}).by_round()
    means = {p.by_name["round"]: by_round.estimate(p, "psnr") for p in by_round.places({})}
    assert {number: e.mean for number, e in means.items() if e} == pytest.approx(
        {1: 20 + NOISE.mean(), 5: 15 + NOISE.mean(), 9: 10 + NOISE.mean()}
    )


def test_rounds_are_compared_image_by_image() -> None:
    """The shared noise of +-1 would hide a step of 0.1 if the images of the rounds were drawn apart."""
    claim = Monotone(metric="psnr", along="round", direction="decreasing", strict=True)
    verdict = claim.judge(measured(m={"psnr": (10.0, 9.9, 9.8)}))
    assert verdict.state == "reproduced"
    assert [check.label for check in verdict.checks] == [f"a at model=m: {step}" for step in STEPS]


def test_two_rounds_can_be_set_side_by_side() -> None:
    claim = Less(metric="psnr", left={"round": 9}, right={"round": 1})
    assert claim.judge(measured(m={"psnr": (10.0, 12.0, 9.0)})).state == "reproduced"
    assert claim.judge(measured(m={"psnr": (9.0, 12.0, 10.0)})).state == "not_reproduced"


def test_correlation_along_rounds_is_taken_for_each_model_apart() -> None:
    """Over both models together the ranks disagree; in each of them they agree."""
    both = measured(
        m={"psnr": (30.0, 29.0, 28.0), "igsa": (3.0, 2.0, 1.0)}, n={"psnr": (3.0, 2.0, 1.0), "igsa": (30.0, 29.0, 28.0)}
    )
    along = Correlates(x="psnr", y="igsa", along="round").judge(both)
    assert [check.value for check in along.checks] == [1.0, 1.0]
    assert along.state == "inconclusive", "three rounds agree by chance once in three times"
    assert along.statement == "psnr and igsa correlate positively along round"
    assert Correlates(x="psnr", y="igsa", where={"round": 1}).judge(both).state == "inconclusive"


def test_claims_that_name_no_round_see_all_rounds_as_one() -> None:
    found = measured(m={"psnr": (20.0, 15.0, 10.0)}, n={"psnr": (21.0, 16.0, 11.0)})
    (check,) = Less(metric="psnr", left={"model": "m"}, right={"model": "n"}).check(found)
    assert check.value == pytest.approx(1)


def settings(**blocks: Any) -> dict[str, Any]:
    raw = study(**blocks)
    raw["matrix"] = {"model.hidden": [[6], [5]]}
    raw["adversary"] = {"level": 1, "public_images": 60, "victims": {"clients": [1], "rounds": [1, 3]}}
    raw["attacks"] = [{"kind": "inverting_gradients", "iterations": 2, "compile": "never"}]
    raw["federation"] = {**raw["federation"], "rounds": 3}
    raw.pop("budgets")
    return raw


CLAIMS = [{"monotone": {"metric": "psnr", "along": "round", "direction": "decreasing"}}]


def test_a_study_over_rounds_has_charts_of_leakage_accuracy_and_smoothness(tmp_path: Path) -> None:
    raw = settings(
        claims=[*CLAIMS, {"at_least": {"metric": "accuracy", "value": 0.0, "where": {"round": 3}}}],
        figure={"metric": "psnr", "beside": ["accuracy", "igsa"], "along": "round"},
        analyses=[{"kind": "igsa", "samples": 1, "projections": 1}],
    )
    results = run_study(load_study(raw), StudyDirectory(tmp_path), QuietWatcher(), serial=True)
    lines = [line for line in results.round_lines if not line.is_baseline]
    assert [line.point["round"] for line in lines] == [1, 3, 1, 3]
    assert all(isinstance(line.metrics[name], Interval) for line in lines for name in ("psnr", "accuracy", "igsa"))
    page = write_study_report(tmp_path).read_text("utf-8")
    assert all(f"{title} along round" in page for title in ("PSNR", "accuracy", "IGSA"))
    assert len(results.verdicts[0].checks) == 2


@pytest.mark.parametrize("where", [{"round": 0}, {"round": "first"}])
def test_what_is_no_round_is_refused(where: dict[str, Any]) -> None:
    raw = settings(claims=[{"at_least": {"metric": "accuracy", "value": 0.5, "where": where}}])
    with pytest.raises(InputError, match="number of a round"):
        load_study(raw)
