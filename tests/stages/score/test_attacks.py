from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.progress import QuietProgress
from fedleak.results.schema import ReducedBudget, ResultRow
from fedleak.stages.score.attacks import (
    failed_rows,
    match_attack,
    matching_of,
    reduced_budgets_of,
    score_attacks,
    summarise_attack,
)
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages
from fedleak.stages.score.scorer import ImageScorer
from tests.scenarios import scenario as made
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


def test_the_matching_loss_stands_on_rows_and_in_the_summary(recorded: RecordedRun, scorer: ImageScorer) -> None:
    keep_images(recorded, "a", reversed_copies(recorded, 0, 1))
    curves = {0: [1.0, 0.5, float("nan"), 0.75], 1: [2.0, 0.25]}
    attempts = [attempt(row, curve={"matching_loss": curve}) for row, curve in curves.items()]
    (scores,) = score_attacks(recorded, [record("a", *attempts, failure(2, "no"))], scorer=scorer, bar=BAR)
    first, second = recorded.updates[0], recorded.updates[1]
    losses = {(row.update, row.matching_loss_start, row.matching_loss) for row in scores.rows if row.status == "ok"}
    assert losses == {((first.client, first.round), 1.0, 0.5), ((second.client, second.round), 2.0, 0.25)}
    matching = scores.summary.matching
    assert matching is not None
    assert (matching.start, matching.final, matching.updates, matching.iterations) == (1.5, 0.375, 2, 3)


def test_an_attack_without_a_search_has_no_matching_loss(recorded: RecordedRun, scorer: ImageScorer) -> None:
    keep_images(recorded, "a", reversed_copies(recorded, 0))
    (scores,) = score_attacks(recorded, [record("a", attempt(0))], scorer=scorer, bar=BAR)
    assert scores.summary.matching is None
    assert {(row.matching_loss, row.matching_loss_start) for row in scores.rows} == {(None, None)}


def test_a_search_below_the_default_budget_is_judged_by_less() -> None:
    """Two percent in the last of twenty iterations; a start from other images may match already."""
    curve = [2.0, *[1.0] * 17, 1.0, 0.98]
    done = record("a", attempt(0, curve={"matching_loss": curve}))
    found = [matching_of(done, short=short) for short in (False, True)]
    assert [each.unfinished for each in found if each] == [0, 1]
    still = record("a", attempt(0, curve={"matching_loss": [0.1] * 20}))
    begun = still.model_copy(update={"settings": {"init": {"from": "b"}}})
    assert [each.unfinished for each in (matching_of(still, short=False), matching_of(begun, short=False)) if each] == [
        1,
        0,
    ]


def test_budgets_below_the_defaults_come_from_the_scenario(recorded: RecordedRun) -> None:
    scenario = made(attacks=[{"kind": "dlg", "iterations": 7}, {"kind": "dlg", "id": "full"}])
    run = replace(recorded, scenario=scenario)
    assert reduced_budgets_of(run, "dlg") == (ReducedBudget(setting="iterations", value=7, default=300),)
    assert reduced_budgets_of(run, "full") == reduced_budgets_of(run, "absent") == ()


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
