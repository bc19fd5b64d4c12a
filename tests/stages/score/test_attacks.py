from __future__ import annotations

import pytest
import torch

from fedleak.progress import QuietProgress
from fedleak.results.schema import ResultRow
from fedleak.stages.score.attacks import failed_rows, match_attack, score_attacks, summarise_attack
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages
from fedleak.stages.score.scorer import ImageScorer
from tests.stages.score.builders import attempt, failure, keep_images, record

BAR = QuietProgress().task("scoring", 9)


def reversed_copies(run: RecordedRun, *rows: int) -> dict[int, torch.Tensor]:
    """The true images of each update, the last one first."""
    return {row: run.truth_of(run.updates[row]).images.flip(0) for row in rows}


def test_reconstructions_stand_beside_their_originals(recorded: RecordedRun) -> None:
    keep_images(recorded, "a", reversed_copies(recorded, 1))
    matched = match_attack(recorded, record("a", attempt(1), failure(0, "diverged")))
    truth, update = recorded.truth_of(recorded.updates[1]), recorded.updates[1]
    assert torch.equal(torch.stack(matched.reconstructions), truth.images)
    assert torch.equal(torch.stack(matched.originals), truth.images)
    assert [(row.attack, row.kind, row.victim, row.round, row.image) for row in matched.rows] == [
        ("a", "dlg", update.client, update.round, place) for place in (0, 1)
    ]
    assert [row.seconds for row in matched.rows] == [2.0, 2.0]


@pytest.mark.parametrize(("source", "guesses"), [("attack", [99, 98]), ("inferred", [98, 99])])
def test_labels_of_the_attack_itself_follow_their_images(
    recorded: RecordedRun, source: str, guesses: list[int]
) -> None:
    keep_images(recorded, "a", reversed_copies(recorded, 1))
    assert {98, 99}.isdisjoint(recorded.truth_of(recorded.updates[1]).labels.tolist())
    matched = match_attack(recorded, record("a", attempt(1, labels=(98, 99)), label_source=source))
    assert [row.label_guess for row in matched.rows] == guesses


def test_a_failure_is_a_row_without_an_image(recorded: RecordedRun) -> None:
    update = recorded.updates[2]
    assert failed_rows(recorded, record("a", attempt(0), failure(2, "diverged"))) == [
        ResultRow(
            attack="a",
            kind="dlg",
            victim=update.client,
            round=update.round,
            seconds=0.5,
            encoded_bytes=update.bytes,
            status="failed",
            reason="diverged",
        )
    ]


def test_the_summary_tells_costs_by_hand(recorded: RecordedRun, scorer: ImageScorer) -> None:
    attempts = (attempt(0, seconds=1.0), attempt(1, seconds=4.0), failure(2, "diverged"))
    done = record("a", *attempts, adaptive=True, parameters=7, curves={"train": [0.5]}, training_seconds=3.0)
    summary = summarise_attack(recorded, done, scores=scorer.score(MatchedImages()), worst_sample={"wsrr": 0.5})
    assert summary.seconds_per_reconstruction == 2.5
    assert (summary.images, summary.failures, summary.worst_sample) == (0, 1, {"wsrr": 0.5})
    assert (summary.adaptive, summary.parameters, summary.peak_memory_bytes) == (True, 7, 1000)
    assert (summary.curves, summary.training_seconds) == ({"train": [0.5]}, 3.0)
    assert (summary.is_baseline, summary.is_theory, summary.label_accuracy) == (False, False, None)


def test_an_attack_that_always_failed_has_no_time_per_reconstruction(
    recorded: RecordedRun, scorer: ImageScorer
) -> None:
    none = scorer.score(MatchedImages())
    summary = summarise_attack(recorded, record("a", failure(0, "no")), scores=none, worst_sample={})
    assert summary.seconds_per_reconstruction is None


def test_label_accuracy_by_image_and_by_class(recorded: RecordedRun, scorer: ImageScorer) -> None:
    labels = recorded.truth_of(recorded.updates[1]).labels.tolist()
    keep_images(recorded, "a", reversed_copies(recorded, 1))
    guess = attempt(1, labels=(labels[0], 99))
    (scores,) = score_attacks(recorded, [record("a", guess, label_source="inferred")], scorer=scorer, bar=BAR)
    assert labels[0] != labels[1]
    assert scores.summary.label_accuracy == 0.5
    assert scores.summary.label_accuracy_class == pytest.approx(1 / 3)  # one class shared, of three named or true


def test_attacks_come_in_order_and_failures_after_images(recorded: RecordedRun, scorer: ImageScorer) -> None:
    keep_images(recorded, "b", reversed_copies(recorded, 1))
    keep_images(recorded, "a", reversed_copies(recorded, 0))
    records = [record("b", failure(0, "diverged"), attempt(1)), record("a", attempt(0))]
    first, second = score_attacks(recorded, records, scorer=scorer, bar=BAR)
    assert [(row.attack, row.status) for row in first.rows] == [("b", "ok"), ("b", "ok"), ("b", "failed")]
    assert (first.summary.attack, first.summary.images, first.summary.failures) == ("b", 2, 1)
    assert (second.summary.attack, second.summary.metrics["mse"].mean) == ("a", 0.0)
    assert len(second.summary.compared) == 2
