"""Indicators through a real run and into a study's records."""

from __future__ import annotations

from pathlib import Path

import fedleak
from fedleak.studies.records import measure
from tests.scenarios import tiny

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
    assert any("stands in" in note for note in results.notes)
    assert "WSRR" in (tmp_path / "run" / "report.html").read_text("utf-8")
