"""Scoring of a run's attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedleak.attacks.budgets import reduced_budgets
from fedleak.errors import InputError
from fedleak.progress import Task
from fedleak.results.convergence import KEPT_LOSS, MATCHING_LOSS, matching_loss
from fedleak.results.leakage import worst_samples
from fedleak.results.schema import AttackSummary, MatchingLoss, ReducedBudget, ResultRow
from fedleak.stages.attack.record import AttackRecord, load_images
from fedleak.stages.attack.weights import weight_course
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages
from fedleak.stages.score.scorer import ImageScorer, ImageScores, Scores
from fedleak.stages.score.summary import label_accuracy, label_accuracy_class, mean_rates
from fedleak.stages.score.unscored import unscored


def score_attacks(run: RecordedRun, records: Sequence[AttackRecord], *, scorer: ImageScorer, bar: Task) -> list[Scores]:
    """Score every attack; summaries are made last, because the worst-sample rates need all attacks."""
    images: dict[str, ImageScores] = {}
    for record in records:
        images[record.attack] = scorer.score(match_attack(run, record), compared=True)
        bar.advance()
    worst = worst_samples(records, {attack: scores.rows for attack, scores in images.items()})
    found = []
    for record in records:
        scores, rates = images[record.attack], mean_rates(worst.get(record.attack, {}))
        summary = summarise_attack(run, record, scores=scores, worst_sample=rates)
        rows, pictures = unscored(run, record)
        if rows:
            more = {"pictures": (*summary.pictures, *pictures), "compared": summary.compared or pictures}
            summary = summary.model_copy(update=more | {"unscored": len(rows)})
        found.append(Scores(summary, (*scores.rows, *rows, *failed_rows(run, record))))
    return found


def match_attack(run: RecordedRun, record: AttackRecord) -> MatchedImages:
    """The reconstructions of an attack, matched to their originals."""
    matched = MatchedImages()
    images = load_images(run.files.attacks / record.attack)
    for attempt in record.attempts:
        if attempt.status == "ok" and attempt.row in run.scored:
            update = run.updates[attempt.row]
            if attempt.row not in images:
                folder = run.files.attacks / record.attack
                raise InputError(
                    "RUN_DIR", str(folder), f"no reconstruction of row {attempt.row}; remove it, attack again"
                )
            matched.add_update(
                attack=record.attack,
                kind=record.kind,
                update=update,
                images=images[attempt.row],
                truth=run.truth_of(update),
                guesses=attempt.labels,
                labels_ordered=record.label_source == "attack",
                seconds=attempt.seconds,
                curve=attempt.curve.get(MATCHING_LOSS, ()),
                kept=next(iter(attempt.curve.get(KEPT_LOSS, ())), None),
            )
    return matched


def failed_rows(run: RecordedRun, record: AttackRecord) -> list[ResultRow]:
    """One row for each update on which the attack failed."""
    failed = [(attempt, run.updates[attempt.row]) for attempt in record.attempts if attempt.status == "failed"]
    return [
        ResultRow.failed(
            attempt.reason,
            attack=record.attack,
            kind=record.kind,
            victim=update.client,
            round=update.round,
            summed=update.summed,
            seconds=attempt.seconds,
            encoded_bytes=update.bytes,
        )
        for attempt, update in failed
    ]


def reduced_budgets_of(run: RecordedRun, name: str) -> tuple[ReducedBudget, ...]:
    """Budgets of an attack of the scenario that are below the defaults of its kind."""
    attacks = [attack for attack in run.scenario.attacks if attack.name == name]
    return tuple(
        ReducedBudget(setting=reduced.setting, value=reduced.value, default=reduced.default)
        for attack in attacks
        for reduced in reduced_budgets(attack)
    )


def matching_of(record: AttackRecord, *, short: bool) -> MatchingLoss | None:
    """Matching loss over the updates on which the attack worked; None for an attack without a search."""
    worked = [attempt.curve for attempt in record.attempts if attempt.status == "ok"]
    curves, kept = ([curve.get(name, []) for curve in worked] for name in (MATCHING_LOSS, KEPT_LOSS))
    started = isinstance(record.settings.get("init"), Mapping)
    return matching_loss(curves, kept, short=short, started=started)


def summarise_attack(
    run: RecordedRun, record: AttackRecord, *, scores: ImageScores, worst_sample: dict[str, float]
) -> AttackSummary:
    """Summary of an attack: its capabilities, its cost and its scores."""
    worked = [attempt.seconds for attempt in record.attempts if attempt.status == "ok"]
    reduced = reduced_budgets_of(run, record.attack)
    return AttackSummary(
        attack=record.attack,
        kind=record.kind,
        is_baseline=False,
        description=record.description,
        settings=record.settings,
        capabilities=record.capabilities,
        images=len(scores.rows),
        failures=len(record.attempts) - len(worked),
        metrics=scores.metrics,
        adaptive=record.adaptive,
        local_knowledge=record.local_knowledge,
        label_accuracy=label_accuracy(scores.rows),
        label_accuracy_class=label_accuracy_class(scores.rows),
        worst_sample=worst_sample,
        label_source=record.label_source,
        training_seconds=record.training_seconds,
        training_cached=record.training_cached,
        seconds_per_reconstruction=sum(worked) / len(worked) if worked else None,
        peak_memory_bytes=record.peak_memory_bytes,
        parameters=record.parameters,
        curves=record.curves | weight_course(run.files.attacks / record.attack, run.reader),
        matching=matching_of(record, short=bool(reduced)),
        reduced=reduced,
        rounds=scores.rounds,
        pictures=scores.pictures,
        compared=scores.compared,
    )
