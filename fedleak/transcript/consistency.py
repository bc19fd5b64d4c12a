"""Contradictions inside a manifest, found without any other file before anything is sized by its numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING

from fedleak.errors import InputError
from fedleak.transcript.fields import LARGEST_BATCH, LARGEST_IMAGE, MOST_STEPS

if TYPE_CHECKING:
    from fedleak.transcript.layout import Layout
    from fedleak.transcript.manifest import Manifest, RoundRecord, UpdateRecord


def contradictions(manifest: Manifest) -> Iterator[InputError]:
    """What in a manifest cannot be true together, each with its path in the file."""
    yield from _images(manifest)
    yield from _layout(manifest.parameters, manifest.buffers)
    yield from _rounds(manifest.rounds)
    yield from _rows(manifest.updates)
    for number, record in enumerate(manifest.rounds):
        for place, update in enumerate(record.updates):
            yield from _update(manifest, update, f"rounds.{number}.updates.{place}")
    if manifest.pairs is not None and manifest.pairs.count < len(manifest.pairs.model_versions):
        yield _wrong("pairs.model_versions", manifest.pairs.model_versions, f"pairs.count is {manifest.pairs.count}")


def _wrong(path: str, value: object, allowed: str) -> InputError:
    return InputError(f"transcript.{path}", value, allowed)


def _images(manifest: Manifest) -> Iterator[InputError]:
    channels = manifest.input_shape[0]
    if math.prod(manifest.input_shape) > LARGEST_IMAGE:
        yield _wrong("input_shape", manifest.input_shape, f"at most {LARGEST_IMAGE:,} values of one image")
    for name in ("mean", "std"):
        values = getattr(manifest, name)
        if len(values) not in (1, channels):
            yield _wrong(name, values, f"expected one value for each of {channels} channels, or one for all")
    if len(manifest.class_names) != manifest.classes:
        yield _wrong("classes", manifest.classes, f"class_names holds {len(manifest.class_names)} names")


def _layout(layout: Layout, buffers: tuple[str, ...]) -> Iterator[InputError]:
    stop = 0
    for number, slot in enumerate(layout.slots):
        if slot.start != stop:
            yield _wrong(
                f"parameters.slots.{number}.start", slot.start, f"expected {stop}: slots follow each other without gaps"
            )
        stop = slot.stop
    if stop == 0:
        yield _wrong("parameters.slots", layout.slots, "expected at least one value")
    twice = _repeated([*(slot.name for slot in layout.slots), *buffers])
    if twice is not None:
        yield _wrong("parameters.slots", twice, "two parameters or buffers have this name")


def _rounds(rounds: tuple[RoundRecord, ...]) -> Iterator[InputError]:
    before = 0
    for place, record in enumerate(rounds):
        if record.round <= before:
            yield _wrong(f"rounds.{place}.round", record.round, f"expected more than {before}: rounds count from 1")
        before = record.round
        for number, update in enumerate(record.updates):
            if update.round != record.round:
                path = f"rounds.{place}.updates.{number}.round"
                yield _wrong(path, update.round, f"the update is listed in round {record.round}")


def _rows(updates: tuple[UpdateRecord, ...]) -> Iterator[InputError]:
    rows = [update.row for update in updates]
    twice = _repeated(rows)
    if twice is not None:
        yield _wrong("rounds.updates.row", twice, "two updates have this row; each has its own")
    elif rows and max(rows) >= len(rows):
        yield _wrong("rounds.updates.row", max(rows), f"there are {len(rows)} updates, in rows 0 to {len(rows) - 1}")
    sender = _repeated((update.round, update.client) for update in updates)
    if sender is not None:
        yield _wrong("rounds.updates.client", sender, "this round and client have two updates; at most one is expected")


def _update(manifest: Manifest, update: UpdateRecord, path: str) -> Iterator[InputError]:
    if update.model_version > update.current_version:
        allowed = f"at most {update.current_version}, the version broadcast in round {update.round}"
        yield _wrong(f"{path}.model_version", update.model_version, allowed)
    if _repeated(update.summed) is not None:
        yield _wrong(f"{path}.summed", update.summed, "a client is in the sum twice")
    samples, pixels = update.samples, math.prod(manifest.input_shape)
    if samples is not None and samples * pixels > LARGEST_BATCH:
        yield _wrong(f"{path}.samples", samples, f"at most {LARGEST_BATCH // pixels:,} images of {pixels:,} values")
    yield from _steps(manifest, samples or 1, path)
    yield from _labels(manifest, update, path)


def _steps(manifest: Manifest, samples: int, path: str) -> Iterator[InputError]:
    training = manifest.training
    steps = training.local_epochs * -(-samples // training.batch_size)
    if steps > MOST_STEPS:
        yield _wrong("training.local_epochs", training.local_epochs, f"{path} would be {steps:,} steps of SGD")


def _labels(manifest: Manifest, update: UpdateRecord, path: str) -> Iterator[InputError]:
    labels, samples = update.true_labels, update.samples
    if labels is not None and any(label >= manifest.classes for label in labels):
        yield _wrong(f"{path}.true_labels", max(labels), f"labels are 0 to {manifest.classes - 1}")
    if labels is not None and samples is not None and len(labels) != samples:
        yield _wrong(f"{path}.true_labels", labels, f"expected one label for each of {samples} samples")
    images = [image for batch in update.mini_batches or () for image in batch]
    if samples is not None and any(image >= samples for image in images):
        yield _wrong(f"{path}.mini_batches", max(images), f"images are 0 to {samples - 1}")
    if update.mini_batches is not None and not all(update.mini_batches):
        yield _wrong(f"{path}.mini_batches", update.mini_batches, "a mini-batch is empty")


def _repeated(values: Iterable[Hashable]) -> Hashable | None:
    """A value that is there twice; None if there is none."""
    return next((value for value, count in Counter(values).items() if count > 1), None)
