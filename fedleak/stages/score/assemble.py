"""Assembly of the results of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fedleak.environment import describe_environment
from fedleak.results.schema import CapabilityNote, FederationRound, Results
from fedleak.stages.attack.record import AttackRecord
from fedleak.stages.score.analyse import Analyses
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.scorer import ImageScorer, Scores
from fedleak.threat import CAPABILITIES, GRANTABLE
from fedleak.transcript.manifest import Manifest, UpdateRecord, digest_of
from fedleak.transcript.writer import SENT

NO_IMAGES = "the clients' images behind them are not known (there is no ground truth for them)"


def assemble_results(
    run: RecordedRun, records: Sequence[AttackRecord], *, scores: Sequence[Scores], scorer: ImageScorer
) -> Results:
    """All results of the run, in the order of ``scores``."""
    manifest, scenario = run.reader.manifest, run.scenario
    granted = scenario.adversary.granted
    return Results(
        fingerprint=digest_of([record.fingerprint for record in records]),
        name=scenario.name,
        description=scenario.description,
        scenario=scenario.model_dump(mode="json", exclude={"budgets"}),
        environment=describe_environment(),
        protocol=manifest.protocol,
        compromised=scenario.adversary.compromised if manifest.pairs else None,
        pairs=manifest.pairs.count if manifest.pairs else None,
        capabilities=capability_notes(granted, records),
        withheld=capability_notes(frozenset(GRANTABLE) - granted, []),
        higher_is_better=tuple(metric.kind for metric in scorer.metrics if metric.higher_is_better),
        classes=manifest.classes,
        chance=scenario.task.chance(manifest.classes),
        federation=federation_rounds(manifest, scorer.analyses),
        attacks=tuple(found.summary for found in scores),
        epsilon=manifest.privacy.epsilon if manifest.privacy else None,
        delta=manifest.privacy.delta if manifest.privacy else None,
        privacy_unit=manifest.privacy.unit if manifest.privacy else None,
        encoded_bytes=encoded_bytes(run.updates.values()),
        notes=(
            *(metric_notes(scorer) if run.scored else ()),
            *truth_notes(run),
            *label_notes(records),
            *federation_notes(manifest),
        ),
        rows=tuple(row for found in scores for row in found.rows),
    )


def capability_notes(names: frozenset[str], records: Sequence[AttackRecord]) -> tuple[CapabilityNote, ...]:
    """Capabilities by level, derived ones first, each with the attacks that used it."""
    return tuple(
        CapabilityNote(
            name=name,
            level=CAPABILITIES[name].level,
            summary=CAPABILITIES[name].summary(),
            used_by=tuple(record.attack for record in records if name in record.capabilities),
        )
        for name in sorted(names, key=lambda n: (CAPABILITIES[n].level or 0, n))
    )


def federation_rounds(manifest: Manifest, analyses: Analyses) -> tuple[FederationRound, ...]:
    """The rounds as the server recorded them, with the means of the analyses."""
    return tuple(
        FederationRound(
            round=record.round,
            accuracy=record.accuracy,
            loss=record.loss,
            failures=record.failures,
            broadcast_accuracy=record.broadcast_accuracy,
            test_images=record.test_images,
            analyses=analyses.of_round(record.round),
        )
        for record in manifest.rounds
    )


def encoded_bytes(updates: Iterable[UpdateRecord]) -> float | None:
    """Mean size of the updates whose size is known; None if there are none."""
    sizes = [update.bytes for update in updates if update.bytes is not None]
    return sum(sizes) / len(sizes) if sizes else None


def metric_notes(scorer: ImageScorer) -> Iterator[str]:
    """Notes on missing metrics and the reason, then notes on how to read the others."""
    if scorer.left_out:
        yield f"left out, as they compare images, not {scorer.kind.name}: {', '.join(scorer.left_out)}"
    for name, reason in scorer.unavailable.items():
        yield f"{name} is absent: {reason}"
    for name, reason in scorer.analyses.failures.items():
        yield f"{name} is incomplete: {reason}"
    for metric in scorer.metrics:
        if metric.kind not in scorer.unavailable and (note := metric.note(scorer.shape)):
            yield note


def truth_notes(run: RecordedRun) -> Iterator[str]:
    """Notes on what cannot be scored and why, and a note if changes to the ground truth could not be noticed."""
    lacking = len(run.updates) - len(run.scored)
    if run.updates and not run.scored:
        yield f"nothing is scored: {NO_IMAGES}; errors of images and labels need them"
    elif lacking:
        yield f"{lacking} of {len(run.updates)} updates are attacked and not scored: {NO_IMAGES}"
    if lacking and any(math.isnan(record.accuracy) for record in run.reader.manifest.rounds):
        yield "the accuracy of the global model is not known: it was not measured where the federation was recorded"
    if run.scored and not run.reader.has_public_images:
        yield "there are no baselines to compare with: the adversary has no public images"
    if run.truth is not None and not run.truth.sealed:
        yield "the ground truth has no checksums, so changes to it go unnoticed: it was written by hand"


def label_notes(records: Sequence[AttackRecord]) -> Iterator[str]:
    """Notes on reconstructions whose labels could not be inferred."""
    for record in records:
        reasons = Counter(attempt.reason for attempt in record.attempts if attempt.status == "ok" and attempt.reason)
        for reason, count in reasons.items():
            yield f"{record.attack}: {count} of {len(record.attempts)} reconstructions have {reason}"


def federation_notes(manifest: Manifest) -> Iterator[str]:
    """Notes on updates that were not attacked, and on what the protocol hides from the adversary."""
    for update in manifest.updates:
        if update.status != "ok":
            place = f"round {update.round}, client {update.client}"
            yield f"{place}: update not attacked ({update.status}): {update.reason}"
    crafted = sum(name.startswith(SENT) for name in manifest.checksums)
    if crafted:
        yield f"a malicious server: {crafted} times a client was sent another model than the broadcast one"
    sizes = sorted({len(update.summed) for update in manifest.updates if update.summed})
    if sizes:
        yield f"the adversary saw sums over {' or '.join(map(str, sizes))} clients, and no single client's update"
    if manifest.privacy is not None and manifest.privacy.adjacency is not None:
        how = "replacing" if manifest.privacy.adjacency == "replace" else "adding or removing"
        yield f"epsilon holds for {how} one {manifest.privacy.unit}"
    if manifest.privacy is not None and manifest.privacy.noise == "server":
        yield "epsilon applies to the models that the server publishes; updates reach the server without noise"
