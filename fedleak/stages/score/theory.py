"""Scoring of theorems: their predictions for every recorded update, as rows like those of attacks."""

from __future__ import annotations

from fedleak import seeds
from fedleak.errors import describe
from fedleak.metrics.theory.base import NotApplicableError, Theory
from fedleak.progress import Task
from fedleak.records import log_traceback
from fedleak.results.schema import AttackSummary, ResultRow
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages
from fedleak.stages.score.scorer import ImageScorer, Scores
from fedleak.stages.score.truth import Truth


def score_theories(run: RecordedRun, batches: LeakedBatches, *, scorer: ImageScorer, bar: Task) -> list[Scores]:
    """Score the predictions of every theorem that the scenario names."""
    found = []
    for theory in run.scenario.theory:
        matched, failed = predict(theory, run, batches)
        scores = scorer.score(matched)
        summary = AttackSummary(
            attack=theory.row_name,
            kind=theory.kind,
            is_baseline=True,
            is_theory=True,
            description=theory.summary(),
            settings=theory.model_dump(mode="json"),
            images=len(scores.rows),
            failures=len(failed),
            metrics=scores.metrics,
            rounds=scores.rounds,
            pictures=scores.pictures,
        )
        found.append(Scores(summary, (*scores.rows, *failed)))
        bar.advance()
    return found


def predict(theory: Theory, run: RecordedRun, batches: LeakedBatches) -> tuple[MatchedImages, list[ResultRow]]:
    """The predicted images of a theorem, matched to the truth, with its own values as metrics.

    Returns:
        The images, and a failed row for every update to which the theorem does not apply.
    """
    matched, failed = MatchedImages(), []
    for update in run.scored.values():
        leaked = batches.of(update)
        generator = seeds.torch_generator(run.scenario.seed, "theory", theory.kind, update.row)
        try:
            prediction = theory.predict(leaked, run.reader.manifest.training, generator=generator)
        except (Exception, SystemExit) as error:  # a theorem may be a user's own code, which may raise anything
            reason = str(error)
            if not isinstance(error, NotApplicableError):
                reason = describe(error)
                log_traceback(run.files.errors, f"{theory.kind}, round {update.round}, client {update.client}", error)
            name, kind = theory.row_name, theory.kind
            failed.append(ResultRow.failed(reason, attack=name, kind=kind, victim=update.client, round=update.round))
            continue
        matched.add_update(
            attack=theory.row_name,
            kind=theory.kind,
            update=update,
            images=prediction.images,
            truth=Truth(leaked.images, leaked.labels, leaked.places),
            metrics=prediction.metrics,
        )
    return matched, failed
