"""A run directory made of the recording of a Flower app."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fedleak.audit.app_observations import AppObservations
from fedleak.audit.local_facts import combined, from_settings, from_training, spoken
from fedleak.audit.observed import LocalSettings, ObservedFederation, ReturnedKind
from fedleak.audit.probing import OPTION, find_classes, find_shape, network_of
from fedleak.audit.recorded import Recorded, SeenTraining
from fedleak.audit.recording import write_observed_run
from fedleak.errors import InputError
from fedleak.examples import InputShape
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory

HALF = (0.5,)
TOLERANCE = 1e-3


@dataclass(frozen=True)
class AppFacts:
    """What a user says of an app; None or an empty field: concluded from the recording and the model, and said aloud.

    Attributes:
        model: ``module:name`` of the function or class that builds the network.
        input_shape: of one image, ``(C, H, W)``.
        classes: number of outputs of the network.
        mean, std: the network takes ``(pixel in [0, 1] - mean) / std``.
        replies: what clients send back.
        training: how clients train.
    """

    model: str
    input_shape: InputShape | None = None
    classes: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    replies: Literal["auto"] | ReturnedKind = "auto"
    training: LocalSettings = field(default_factory=LocalSettings)


def write_app_run(
    recorded: Recorded, facts: AppFacts, out: Path, *, name: str, force: bool, progress: Progress
) -> RunDirectory:
    """Write the run of a recorded app, ready for ``fedleak attack``.

    Raises:
        InputError: naming what was found and what is needed; nothing of the run is left in ``out``.
    """
    first = next(_trainings(recorded), None)
    shape, classes = _shape_and_classes(facts, first, progress)
    mean, std = _normalisation(recorded, facts, progress)
    training = combined(facts.training, _local_settings(recorded, first, progress))
    about = ObservedFederation(
        model=facts.model, input_shape=shape, classes=classes, mean=mean, std=std, training=training
    )
    observations = AppObservations(recorded, facts.replies, mean, std, first is not None, progress)
    description = f"Recorded from a Flower app ({recorded.begin.app or 'audit(strategy)'})."
    return write_observed_run(
        observations, about, out, name=name, description=description, force=force, progress=progress
    )


def _trainings(recorded: Recorded) -> Iterator[SeenTraining]:
    """The trainings whose images were seen."""
    for message in recorded.sent:
        seen = recorded.seen(message.message)
        if seen is not None and not seen.about.note:
            yield seen


def _shape_and_classes(facts: AppFacts, seen: SeenTraining | None, progress: Progress) -> tuple[InputShape, int]:
    network = network_of(facts.model)
    shape = facts.input_shape
    if shape is None and seen is not None and seen.images.ndim == 4:
        shape = tuple(int(size) for size in seen.images.shape[1:])
    if network is None:
        if shape is None or facts.classes is None:
            needed = f"it must be told images and classes: give {OPTION} channels,height,width and --classes"
            raise InputError("--model", facts.model, needed)
        return shape, facts.classes
    if shape is None:
        shape = find_shape(network)
        progress.say(f"images are taken for {'x'.join(map(str, shape))}, the only size tried that the network takes")
    return shape, facts.classes or find_classes(network, shape)


def _normalisation(
    recorded: Recorded, facts: AppFacts, progress: Progress
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if bool(facts.mean) != bool(facts.std):
        raise InputError("--mean", facts.mean, "give --mean and --std together")
    if facts.mean:
        return facts.mean, facts.std
    ranges = [(float(seen.images.min()), float(seen.images.max())) for seen in _trainings(recorded)]
    if not ranges:
        progress.say("the normalisation of images is taken for mean 0.5, std 0.5; --mean and --std say otherwise")
        return HALF, HALF
    low, high = np.min([r[0] for r in ranges]), np.max([r[1] for r in ranges])
    if low >= -TOLERANCE and high <= 1 + TOLERANCE:
        return (0.0,), (1.0,)
    if low >= -1 - TOLERANCE and high <= 1 + TOLERANCE:
        return HALF, HALF
    found = f"inputs of the network from {low:.4g} to {high:.4g}"
    raise InputError("--mean", found, "give --mean and --std, with which the app normalises its images")


def _local_settings(recorded: Recorded, seen: SeenTraining | None, progress: Progress) -> LocalSettings:
    known = from_settings(recorded)
    if seen is not None:
        known = combined(from_training(seen), known)
    words = spoken(known)
    source = "as a client was seen to" if seen is not None else "as settings of the app say"
    progress.say(f"clients train {source}: {words}; options such as --learning-rate say otherwise")
    return known
