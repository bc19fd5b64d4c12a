"""What theorems predict, as rows and a summary that no attack is measured against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

import fedleak
from fedleak.errors import InputError
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.theory.base import NotApplicableError, Prediction, Theory
from fedleak.progress import QuietProgress
from fedleak.results.schema import ResultRow
from fedleak.run_directory import scenario_fingerprint
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.scorer import ImageScorer
from fedleak.stages.score.theory import predict, score_theories
from fedleak.transcript.manifest import TrainingRecord
from tests.scenarios import scenario, tiny

ATTACK = {"kind": "inverting_gradients", "iterations": 2, "compile": "never"}
ADVERSARY = {"level": 1, "public_images": 60, "victims": {"clients": [1]}}


def test_predictions_are_rows_with_numbers_of_their_own_and_refusals_are_failures(tmp_path: Path) -> None:
    raw = tiny(
        attacks=[ATTACK],
        adversary=ADVERSARY,
        model={"kind": "mlp", "hidden": [2], "activation": "sigmoid"},
        federation__rounds=1,
        federation__client={"batch_size": 3},
        theory=["same_gradient", "local_drift"],
    )
    results = fedleak.run(raw, out=tmp_path / "run")
    by_name = {summary.attack: summary for summary in results.attacks}
    second, drift = by_name["theory_same_gradient"], by_name["theory_local_drift"]
    rows = [row for row in results.rows if row.attack == "theory_same_gradient"]
    assert [row.image for row in rows] == [0, 1, 2]
    assert {row.metrics["second_batch"] for row in rows} == {1.0}
    assert all((row.metrics["update_gap"] or 1) < 1e-6 and (row.metrics["mse"] or 0) > 0 for row in rows)
    assert (second.is_theory, second.images, second.failures) == (True, 3, 0)
    assert (drift.images, drift.failures) == (0, 1)
    assert any("one image" in row.reason for row in results.rows if row.attack == "theory_local_drift")
    header = (tmp_path / "run" / "results.csv").read_text().splitlines()[0]
    assert "second_batch" in header
    assert "theory_same_gradient" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_names_of_predictions_are_taken() -> None:
    with pytest.raises(InputError, match="theory_ are reserved"):
        scenario(attacks=[ATTACK | {"id": "theory_mine"}], adversary=ADVERSARY)


def test_none_leaves_no_trace_in_the_fingerprint() -> None:
    assert scenario_fingerprint(scenario(theory=[])) == scenario_fingerprint(scenario())
    assert scenario_fingerprint(scenario(theory=["local_drift"])) != scenario_fingerprint(scenario())


class Mirror(Theory):
    """Predicts the images in reverse order for client 1, and says nothing of others."""

    kind: Literal["mirror"] = "mirror"

    def predict(self, leaked: LeakedBatch, training: TrainingRecord, *, generator: torch.Generator) -> Prediction:
        if leaked.places[0][0] != 1:
            raise NotApplicableError("only client 1")
        return Prediction(leaked.images.flip(0), {"epochs": float(training.local_epochs)})


def test_predictions_are_matched_and_bring_numbers_of_their_own(recorded: RecordedRun) -> None:
    matched, failed = predict(Mirror(), recorded, LeakedBatches(recorded))
    assert [(row.attack, row.victim, row.round, row.image) for row in matched.rows] == [
        ("theory_mirror", 1, number, image) for number in (1, 2) for image in (0, 1)
    ]
    assert torch.equal(torch.stack(matched.reconstructions), torch.stack(matched.originals))
    assert {row.metrics["epochs"] for row in matched.rows} == {1.0}
    assert failed == [
        ResultRow.failed("only client 1", attack="theory_mirror", kind="mirror", victim=2, round=number)
        for number in (1, 2)
    ]


def test_the_summary_is_that_of_a_theorem(recorded: RecordedRun, scorer: ImageScorer) -> None:
    run = replace(recorded, scenario=recorded.scenario.model_copy(update={"theory": (Mirror(),)}))
    (scores,) = score_theories(run, LeakedBatches(run), scorer=scorer, bar=QuietProgress().task("", 1))
    summary = scores.summary
    assert (summary.attack, summary.kind, summary.is_baseline, summary.is_theory) == (
        "theory_mirror",
        "mirror",
        True,
        True,
    )
    assert (summary.images, summary.failures, summary.settings) == (4, 2, {"kind": "mirror"})
    assert {name: interval.mean for name, interval in summary.metrics.items()} == {"mse": 0.0, "epochs": 1.0}
    assert [row.status for row in scores.rows] == ["ok"] * 4 + ["failed"] * 2
