from __future__ import annotations

from typing import Any

import pytest

from fedleak.results.schema import AttackSummary, FederationRound, ResultRow
from fedleak.stages.score.assemble import (
    assemble_results,
    capability_notes,
    encoded_bytes,
    federation_notes,
    federation_rounds,
    metric_notes,
)
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.scorer import ImageScorer, Scores
from fedleak.transcript.manifest import Manifest, PrivacyRecord, RoundRecord, UpdateRecord
from tests.stages.score.builders import record


def update(row: int, **changes: Any) -> UpdateRecord:
    plain = {"row": row, "round": 1, "client": row, "model_version": 0, "status": "ok"}
    return UpdateRecord.model_validate(plain | changes)


def manifest(run: RecordedRun, *updates: UpdateRecord, **changes: Any) -> Manifest:
    """The run's manifest with one round of these updates."""
    one = RoundRecord(round=1, accuracy=0.25, loss=2.0, replies=2, failures=("late",), updates=updates)
    return run.reader.manifest.model_copy(update={"rounds": (one,)} | changes)


def test_capabilities_by_level_with_the_attacks_that_used_them() -> None:
    records = [record("a"), record("b", capabilities=("shared_update", "public_data"))]
    notes = capability_notes(frozenset({"public_data", "shared_update"}), records)
    assert [(note.name, note.level, note.used_by) for note in notes] == [
        ("shared_update", 0, ("a", "b")),
        ("public_data", 2, ("b",)),
    ]
    assert notes[0].summary == "The tensors that one client sent in one round."


def test_rounds_are_as_the_server_recorded_them(recorded: RecordedRun, scorer: ImageScorer) -> None:
    assert federation_rounds(manifest(recorded), scorer.analyses) == (
        FederationRound(round=1, accuracy=0.25, loss=2.0, failures=("late",)),
    )


@pytest.mark.parametrize(("sizes", "mean"), [((100, 200), 150.0), ((100, None), 100.0), ((None,), None), ((), None)])
def test_bytes_per_update_are_the_mean_of_known_sizes(sizes: tuple[int | None, ...], mean: float | None) -> None:
    assert encoded_bytes([update(row, bytes=size) for row, size in enumerate(sizes)]) == mean


def test_metrics_that_cannot_be_had_are_noted(scorer: ImageScorer) -> None:
    assert list(metric_notes(scorer)) == []
    scorer.unavailable["lpips"] = "no weights"
    assert list(metric_notes(scorer)) == ["lpips is absent: no weights"]


def test_updates_that_were_not_attacked_are_noted(recorded: RecordedRun) -> None:
    lost = update(1, status="missing", reason="the client timed out")
    assert list(federation_notes(manifest(recorded, update(0), lost))) == [
        "round 1, client 1: update not attacked (missing): the client timed out"
    ]


def test_sums_are_noted_with_their_sizes(recorded: RecordedRun) -> None:
    sums = (update(0, summed=(0, 1, 2)), update(1, summed=(3, 4)))
    assert list(federation_notes(manifest(recorded, *sums))) == [
        "the adversary saw sums over 2 or 3 clients, and no single client's update"
    ]


@pytest.mark.parametrize(("noise", "noted"), [("server", 1), ("client", 0)])
def test_noise_of_the_server_does_not_hide_updates_from_it(recorded: RecordedRun, noise: str, noted: int) -> None:
    privacy = PrivacyRecord.model_validate(
        {"noise": noise, "epsilon": 1.0, "delta": 1e-5, "noise_multiplier": 1.0, "max_norm": 1.0}
    )
    assert len(list(federation_notes(manifest(recorded, privacy=privacy)))) == noted


def test_results_hold_summaries_and_rows_in_order(recorded: RecordedRun, scorer: ImageScorer) -> None:
    scores = [
        Scores(
            AttackSummary(attack=name, kind="dlg", is_baseline=False, description="", images=1, metrics={}),
            (ResultRow(attack=name, kind="dlg", victim=0, round=1, image=0),),
        )
        for name in ("b", "a")
    ]
    results = assemble_results(recorded, [record("b"), record("a")], scores=scores, scorer=scorer)
    assert [summary.attack for summary in results.attacks] == ["b", "a"]
    assert [row.attack for row in results.rows] == ["b", "a"]
    assert [note.used_by for note in results.capabilities if note.name == "shared_update"] == [("b", "a")]
    assert "injected_pairs" in {note.name for note in results.withheld}
    assert (results.pairs, results.compromised, results.epsilon) == (None, None, None)
    assert results.higher_is_better == ()
    assert [r.accuracy for r in results.federation] == [r.accuracy for r in recorded.reader.manifest.rounds]


def test_the_fingerprint_follows_those_of_the_attacks(recorded: RecordedRun, scorer: ImageScorer) -> None:
    first, again, other = (
        assemble_results(recorded, [record("a", fingerprint=text)], scores=[], scorer=scorer).fingerprint
        for text in "xxy"
    )
    assert first == again != other
