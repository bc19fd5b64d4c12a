"""Attacking the victims' updates, one at a time or several in parallel."""

from __future__ import annotations

import time
from typing import Any

import torch

from fedleak.attacks.base import Reconstruction, SideBySideAttack, TrainedAttack
from fedleak.errors import AttackFailedError
from fedleak.stages.attack.attempts import check, failed, group_by_model
from fedleak.stages.attack.context import AttackContext
from fedleak.stages.attack.record import Attempt, PartFiles
from fedleak.stages.attack.view import View
from fedleak.transcript.manifest import UpdateRecord

PART_SECONDS = 20.0
"""Seconds after which finished reconstructions are written."""

Answer = tuple[Attempt, Reconstruction | None]


def attack_victims(
    context: AttackContext, updates: list[UpdateRecord], trained: tuple[Any, ...], parts: PartFiles, *, failure: str
) -> None:
    """Attack every update that is not in ``parts``, and write the results.

    Args:
        trained: arguments before the capabilities in a call of ``reconstruct``.
        failure: why the attack as a whole failed; empty if it did not.
    """
    # The grouping does not depend on the work of an earlier process, so a resumed run gives identical bytes.
    most = 1 if failure else _victims_together(context, updates)
    groups = list(group_by_model(updates, most, version=context.attack.version))
    groups = [group for group in groups if any(update.row not in parts.attempts for update in group)]
    bar = context.progress.task(f"attacking with {context.attack.name}", sum(len(group) for group in groups))
    attempts: list[Attempt] = []
    images: dict[int, torch.Tensor] = {}
    written = time.monotonic()
    for group in groups:
        answers = _attack_group(context, group, trained, failure)
        attempts += [attempt for attempt, _ in answers]
        images |= {attempt.row: rebuilt.images for attempt, rebuilt in answers if rebuilt is not None}
        bar.advance(len(group))
        if time.monotonic() - written > PART_SECONDS:
            parts.write(attempts, images)
            attempts, images, written = [], {}, time.monotonic()
    if attempts:
        parts.write(attempts, images)


def _victims_together(context: AttackContext, updates: list[UpdateRecord]) -> int:
    """Number of victims attacked at once, determined from the first one."""
    attack = context.attack
    if not updates or isinstance(attack, TrainedAttack) or not isinstance(attack, SideBySideAttack):
        return 1
    try:
        return attack.victims_together(context.arguments(context.view(updates[0]), attack.reconstruct)["known"])
    except AttackFailedError:
        return 1  # the first one will fail when it is attacked, with this reason


def _attack_group(
    context: AttackContext, group: list[UpdateRecord], trained: tuple[Any, ...], failure: str
) -> list[Answer]:
    if failure:
        return [(failed(update, failure), None) for update in group]
    if len(group) > 1 and isinstance(context.attack, SideBySideAttack):
        return _attack_several(context, context.attack, group)
    return [_attack_one(context, update, trained) for update in group]


def _attack_one(context: AttackContext, update: UpdateRecord, trained: tuple[Any, ...]) -> Answer:
    view, attack = context.view(update), context.attack
    begun = time.perf_counter()
    try:
        known = context.arguments(view, attack.reconstruct)
        begun = time.perf_counter()  # reading the transcript is not part of the attack
        rebuilt = attack.reconstruct(*trained, **known, generator=context.generator(update))
    except AttackFailedError as error:
        return failed(update, str(error), time.perf_counter() - begun), None
    return _answer(context, update, view, rebuilt, time.perf_counter() - begun)


def _attack_several(context: AttackContext, attack: SideBySideAttack[Any], group: list[UpdateRecord]) -> list[Answer]:
    """Attack a group in parallel; the time is divided equally."""
    answers: dict[int, Answer] = {}
    ready: list[tuple[UpdateRecord, View, Any]] = []
    for update in group:
        view = context.view(update)
        try:
            ready.append((update, view, context.arguments(view, attack.reconstruct)["known"]))
        except AttackFailedError as error:
            answers[update.row] = failed(update, str(error)), None
    begun = time.perf_counter()
    rebuilt = attack.reconstruct_several(
        [known for _, _, known in ready], generators=[context.generator(update) for update, _, _ in ready]
    )
    seconds = (time.perf_counter() - begun) / max(1, len(ready))
    for (update, view, _), result in zip(ready, rebuilt, strict=True):
        if isinstance(result, AttackFailedError):
            answers[update.row] = failed(update, str(result), seconds), None
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
        return failed(update, str(error), seconds), None
    own = rebuilt.labels is not None
    labels = rebuilt.labels if own else _inferred_labels(context, view, len(rebuilt.images))
    attempt = Attempt(
        row=update.row,
        seconds=seconds,
        status="ok",
        labels=tuple(int(label) for label in labels) if labels is not None else None,
        guessed_by_attack=own,
        curve={name: list(values) for name, values in rebuilt.curve.items()},
    )
    return attempt, rebuilt


def _inferred_labels(context: AttackContext, view: View, count: int) -> torch.Tensor | None:
    inference = context.label_inference
    if inference is None:
        return None
    try:
        return view.labels(inference, count=count)
    except AttackFailedError:
        return None  # the images have no labels; their cells in the results are empty
