"""Attacking the victims' updates, one at a time or several in parallel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from fedleak.attacks.base import Reconstruction, SideBySideAttack, TrainedAttack
from fedleak.errors import AttackFailedError
from fedleak.progress import Task
from fedleak.results.format import duration
from fedleak.snapshots import keeping
from fedleak.stages.attack.attempts import (
    CrashError,
    check,
    crashes,
    failed_by,
    group_by_model,
)
from fedleak.stages.attack.context import AttackContext
from fedleak.stages.attack.record import Attempt, PartFiles
from fedleak.stages.attack.unfinished import Unfinished, remove_unfinished
from fedleak.stages.attack.view import View
from fedleak.steps import StepReport, listening
from fedleak.transcript.manifest import UpdateRecord

PART_SECONDS = 20.0
"""Seconds after which finished reconstructions are written."""

Answer = tuple[Attempt, torch.Tensor | None]
"""The attempt, and its images ``(B, C, H, W)`` float32 on the CPU."""


def attack_victims(
    context: AttackContext,
    updates: list[UpdateRecord],
    trained: tuple[Any, ...],
    parts: PartFiles,
    *,
    failure: Exception | None,
) -> None:
    """Attack every update that is not done in ``parts``, and write the results, even if interrupted.

    Args:
        trained: arguments before the capabilities in a call of ``reconstruct``.
        failure: the error by which the attack as a whole failed; None if it did not.
    """
    # The grouping does not depend on the work of an earlier process, so a resumed run gives identical bytes.
    most = 1 if failure else _victims_together(context, updates)
    groups = list(group_by_model(updates, most, version=context.attack.version))
    groups = [group for group in groups if any(update.row not in parts.done for update in group)]
    bar = context.progress.task(f"attacking with {context.attack.name}", sum(len(group) for group in groups))
    attempts: list[Attempt] = []
    images: dict[int, torch.Tensor] = {}
    written = time.monotonic()
    try:
        for group in groups:
            with listening(partial(show_step, bar)):
                answers = _attack_group(context, group, trained, parts, failure)
            attempts += [attempt for attempt, _ in answers]
            images |= {attempt.row: rebuilt for attempt, rebuilt in answers if rebuilt is not None}
            bar.advance(len(group))
            if time.monotonic() - written > PART_SECONDS:
                done, attempts = attempts, []
                parts.write(done, images)
                context.host.written()
                images, written = {}, time.monotonic()
    finally:  # ``unfinished`` holds what the searches of the group under attack have reached
        if attempts:
            parts.write(attempts, images)
            context.host.written()
    remove_unfinished(parts.folder)


def show_step(bar: Task, report: StepReport) -> None:
    """A line beside the bar: iteration, loss and time left of the update, or updates, under attack."""
    left = duration(report.seconds_left)
    bar.advance(
        0, note=f"{report.what} {report.done} of {report.total}, {report.measure} {report.value:.4g}, {left} left"
    )


def _victims_together(context: AttackContext, updates: list[UpdateRecord]) -> int:
    """Number of victims attacked at once, determined from the first one."""
    attack = context.attack
    if not updates or isinstance(attack, TrainedAttack) or not isinstance(attack, SideBySideAttack):
        return 1
    try:
        with crashes(context.errors, context.title(updates[0])):
            return attack.victims_together(context.arguments(context.view(updates[0]), attack.reconstruct)["known"])
    except (AttackFailedError, CrashError):
        return 1  # the first one will fail when it is attacked, with this reason


def _attack_group(
    context: AttackContext,
    group: list[UpdateRecord],
    trained: tuple[Any, ...],
    parts: PartFiles,
    failure: Exception | None,
) -> list[Answer]:
    if failure is not None:
        return [(failed_by(update, failure), None) for update in group]
    if len(group) > 1 and isinstance(context.attack, SideBySideAttack):
        try:
            with _kept(context, parts, group) as earlier:
                return _attack_several(context, context.attack, group, earlier)
        except (AttackFailedError, CrashError):
            context.progress.say(f"attack {context.attack.name}: failed on several updates at once; now one at a time")
    answers = []
    for update in group:
        with _kept(context, parts, [update]) as earlier:
            answers.append(_attack_one(context, update, trained, earlier))
    return answers


@contextmanager
def _kept(context: AttackContext, parts: PartFiles, updates: list[UpdateRecord]) -> Iterator[float]:
    """Keep the state of searches on these updates, and go on from it; the seconds that they have taken already."""
    unfinished = Unfinished(
        parts.folder, parts.fingerprint, [update.row for update in updates], written=context.host.written
    )
    if unfinished.seconds:
        before = duration(unfinished.seconds)
        context.progress.say(f"{context.title(*updates)}: going on after an interruption, {before} into the search")
    with keeping(unfinished):
        yield unfinished.seconds


def _attack_one(context: AttackContext, update: UpdateRecord, trained: tuple[Any, ...], earlier: float) -> Answer:
    """Attack one update; ``earlier`` are the seconds that an interrupted process has spent on it."""
    view, attack = context.view(update), context.attack
    begun = time.perf_counter() - earlier
    try:
        with crashes(context.errors, context.title(update)):
            known = context.arguments(view, attack.reconstruct)
            begun = time.perf_counter() - earlier  # reading the transcript is not part of the attack
            rebuilt = attack.reconstruct(*trained, **known, generator=context.generator(update))
            return _answer(context, update, view, rebuilt, time.perf_counter() - begun)
    except (AttackFailedError, CrashError) as error:
        return failed_by(update, error, time.perf_counter() - begun), None


def _attack_several(
    context: AttackContext, attack: SideBySideAttack[Any], group: list[UpdateRecord], earlier: float
) -> list[Answer]:
    """Attack a group in parallel; the time, and that of an interrupted process, is divided equally.

    Raises:
        AttackFailedError, CrashError: if it failed, or ended in an error, on all together.
    """
    answers: dict[int, Answer] = {}
    ready: list[tuple[UpdateRecord, View, Any]] = []
    for update in group:
        view = context.view(update)
        try:
            with crashes(context.errors, context.title(update)):
                ready.append((update, view, context.arguments(view, attack.reconstruct)["known"]))
        except (AttackFailedError, CrashError) as error:
            answers[update.row] = failed_by(update, error), None
    begun = time.perf_counter() - earlier
    with crashes(context.errors, context.title(*group)):
        rebuilt = attack.reconstruct_several(
            [known for _, _, known in ready], generators=[context.generator(update) for update, _, _ in ready]
        )
        seconds = (time.perf_counter() - begun) / max(1, len(ready))
        for (update, view, _), result in zip(ready, rebuilt, strict=True):
            if isinstance(result, AttackFailedError):
                answers[update.row] = failed_by(update, result, seconds), None
            else:
                answers[update.row] = _answer(context, update, view, result, seconds)
    return [answers[update.row] for update in group]


def _answer(
    context: AttackContext, update: UpdateRecord, view: View, rebuilt: Reconstruction, seconds: float
) -> Answer:
    """The checked reconstruction with its labels and time."""
    if context.start is not None:
        seconds += context.start.attempt(update.row).seconds
    try:
        check(rebuilt, context.reader.manifest.input_shape)
    except AttackFailedError as error:
        return failed_by(update, error, seconds), None
    own, reason = rebuilt.labels is not None, ""
    labels = rebuilt.labels
    if labels is None:
        labels, reason = _inferred_labels(context, view, update, len(rebuilt.images))
    attempt = Attempt(
        row=update.row,
        seconds=seconds,
        status="ok",
        reason=reason,
        labels=tuple(int(label) for label in labels) if labels is not None else None,
        guessed_by_attack=own,
        curve={name: list(values) for name, values in rebuilt.curve.items()},
    )
    # A copy of its own: an attack may return one tensor for all updates, which safetensors refuses to store.
    return attempt, rebuilt.images.detach().to("cpu", torch.float32, copy=True)


def _inferred_labels(
    context: AttackContext, view: View, update: UpdateRecord, count: int
) -> tuple[torch.Tensor | None, str]:
    """The labels, or None and the reason; then the images have no labels, and their cells in the results are empty."""
    inference = context.label_inference
    if inference is None:
        return None, ""
    try:
        with crashes(context.errors, f"{inference.kind}, {context.title(update)}"):
            return view.labels(inference, count=count), ""
    except (AttackFailedError, CrashError) as error:
        return None, f"no labels: {inference.kind}: {error}"
