"""The whole stage on real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fedleak
from fedleak.errors import InputError
from fedleak.progress import QuietProgress
from fedleak.results.schema import load_results
from fedleak.stages.attack.record import finish
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.score import score
from fedleak.studies.records import measure
from tests.scenarios import tiny
from tests.stages.score.builders import attempt, keep_images, record

INDICATORS = {"lpips": None, "leaked_ssim": {"psnr": 5, "ssim": 0.01}, "iip": {"features": {"kind": "random"}}}
ENTRY = {"kind": "inverting_gradients", "iterations": 3, "compile": "never"}


def test_indicators_and_worst_samples_reach_rows_summaries_and_studies(tmp_path: Path) -> None:
    raw = tiny(
        attacks=[ENTRY | {"id": "first"}, ENTRY | {"id": "second"}, ENTRY | {"id": "other", "iterations": 2}],
        metrics=INDICATORS,
        federation__client={"batch_size": 2},
        federation__rounds=1,
        adversary={"level": 1, "public_images": 60, "label_inference": "calibrated_counts"},
    )
    results = fedleak.run(raw, out=tmp_path / "run")
    by_name = {summary.attack: summary for summary in results.attacks}
    assert set(by_name["first"].metrics) >= {"leaked_ssim", "iip"}
    assert by_name["first"].worst_sample == by_name["second"].worst_sample
    assert 0 <= by_name["first"].worst_sample["wsrr_ssim"] <= 1
    assert by_name["other"].worst_sample == {}
    assert by_name["first"].label_accuracy == by_name["first"].label_accuracy_class == 1
    measured = {m.attack: m.metrics for m in measure(results)}
    assert len(measured["first"]["wsrr_ssim"]) == len(measured["first"]["mse"])
    assert measured["first"]["label_accuracy_class"] == [1.0] * len(measured["first"]["mse"])
    assert "wsrr_ssim" not in measured["other"]
    assert any("instead of a pretrained network" in note for note in results.notes)
    assert "WSRR" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_results_pictures_and_environment_are_written(recorded: RecordedRun) -> None:
    truths = {row: recorded.truth_of(update).images for row, update in recorded.updates.items()}
    keep_images(recorded, "dlg", truths)
    finish(recorded.files.attacks / "dlg", record("dlg", *(attempt(row) for row in truths)))
    stale = recorded.files.root / "pictures" / "stale.png"
    stale.parent.mkdir()
    stale.touch()
    results = score(recorded.scenario, recorded.files, QuietProgress())
    assert results.attacks[0].metrics["mse"].mean == 0.0
    assert [s.attack for s in results.attacks[1:]] == [
        "baseline_mean_image",
        "baseline_nearest_class",
        "baseline_random_image",
    ]
    assert load_results(recorded.files.root) == results
    assert json.loads((recorded.files.root / "environment.json").read_text()) == results.environment
    assert not stale.exists()


def test_an_attack_that_was_not_run_is_an_input_error(recorded: RecordedRun) -> None:
    with pytest.raises(InputError, match="attack dlg has not been run"):
        score(recorded.scenario, recorded.files, QuietProgress())
