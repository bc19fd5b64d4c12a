"""Evaluation of label inference alone: the accuracy of every kind on the updates of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedleak.attacks.labels.base import LabelInference
from fedleak.component import discover
from fedleak.errors import AttackFailedError, FedleakError, InputError, describe
from fedleak.progress import Progress, Task
from fedleak.records import Record
from fedleak.results.labels import jaccard
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.agreement import open_transcript
from fedleak.stages.attack.view import CapabilityNotGrantedError, View
from fedleak.stages.score.rows import assign_labels
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.manifest import UpdateRecord
from fedleak.transcript.reader import TranscriptReader


class LabelScore(Record):
    """Scores of one label inference on all victims' updates of a run."""

    inference: str
    updates: int
    failures: int = 0
    by_image: float | None = None
    """Share of images whose label was inferred (instance level), in [0, 1]."""
    by_class: float | None = None
    """Mean over updates of the overlap of guessed and true classes (Jaccard index), in [0, 1]."""
    reason: str = ""
    """Why it could not be run, or the reason of its last failure."""


def score_labels(run: RunDirectory, progress: Progress, *, only: Sequence[str] = ()) -> list[LabelScore]:
    """Evaluate label inferences on a recorded federation; nothing is written.

    Inference uses only what the scenario grants. The scenario's own inference keeps its settings, all others use their
    defaults; oracles are left out.

    Args:
        only: kinds to evaluate (default: all).

    Raises:
        InputError: if a kind is unknown, or transcript or truth are missing.
    """
    known = discover(LabelInference, "fedleak.attacks.labels")  # type: ignore[type-abstract]
    for kind in only:
        if kind not in known:
            raise InputError("--kind", kind, f"known kinds: {', '.join(sorted(known))}")
    scenario = run.scenario()
    reader = open_transcript(scenario, run.transcript)
    own = scenario.adversary.label_inference
    tried = [own if own is not None and own.kind == kind else known[kind]() for kind in only or sorted(known)]
    tried = [inference for inference in tried if not inference.is_oracle]
    updates = [update for update in reader.manifest.updates if update.status == "ok"]
    bar = progress.task("inferring labels", len(tried) * len(updates))
    # All guesses before any truth is opened: a rule may be a user's own code, which could find it in memory.
    guesses = {inference.kind: _guesses(inference, scenario, reader, updates, bar) for inference in tried}
    truth = TruthReader(run.truth)
    truth.check_transcript(run.transcript)
    return [_score(kind, found, truth) for kind, found in guesses.items()]


@dataclass(frozen=True)
class _Guesses:
    """The guesses of one inference by update, None where it failed; why it was not granted, or last failed."""

    by_update: Sequence[tuple[UpdateRecord, list[int] | None]]
    reason: str = ""
    granted: bool = True


def _guesses(
    inference: LabelInference,
    scenario: Scenario,
    reader: TranscriptReader,
    updates: Sequence[UpdateRecord],
    bar: Task,
) -> _Guesses:
    found: list[tuple[UpdateRecord, list[int] | None]] = []
    reason = ""
    for update in updates:
        bar.advance()
        try:
            found.append((update, guessed(inference, scenario, reader, update)))
        except CapabilityNotGrantedError as error:
            bar.advance(len(updates) - 1)
            return _Guesses([(update, None) for update in updates], f"not granted: {error}", granted=False)
        except (Exception, SystemExit) as error:  # a rule may be a user's own code, which may raise anything
            if isinstance(error, FedleakError) and not isinstance(error, AttackFailedError):
                raise
            reason = describe(error)
            found.append((update, None))
    return _Guesses(found, reason)


def _score(kind: str, guesses: _Guesses, truth: TruthReader) -> LabelScore:
    count = len(guesses.by_update)
    if not guesses.granted:
        return LabelScore(inference=kind, updates=count, reason=guesses.reason)
    right = images = 0
    overlaps: list[float] = []
    for update, guess in guesses.by_update:
        if guess is not None:
            labels = truth.batch(update.row, update.clients).labels.tolist()
            assigned = assign_labels(guess, labels)
            right += sum(a == b for a, b in zip(assigned, labels, strict=False))
            images += len(labels)
            overlaps.append(jaccard(set(guess), set(labels)))
    return LabelScore(
        inference=kind,
        updates=count,
        failures=count - len(overlaps),
        by_image=right / images if images else None,
        by_class=sum(overlaps) / len(overlaps) if overlaps else None,
        reason=guesses.reason,
    )


def guessed(inference: LabelInference, scenario: Scenario, reader: TranscriptReader, update: UpdateRecord) -> list[int]:
    """Inferred labels of one update, sorted, as many as the client reports images.

    Raises:
        CapabilityNotGrantedError: if it asks for more than is granted.
        AttackFailedError: if the labels cannot be inferred.
    """
    if update.samples is None:
        raise AttackFailedError("the client does not report the number of images behind the update")
    view = View(reader, scenario.adversary.granted, update)
    return [int(label) for label in view.labels(inference, count=update.samples)]
