"""Offline training of an attack, with a cache of trained artefacts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from fedleak import seeds
from fedleak.attacks import artefacts
from fedleak.attacks.base import Artefact, TrainedAttack
from fedleak.stages.attack.context import AttackContext
from fedleak.stages.attack.fingerprints import artefact_key


@dataclass(frozen=True)
class ReadyAttack:
    """Result and cost of the training of an attack.

    Attributes:
        trained: arguments before the capabilities in a call of ``reconstruct``: none, or the trained object.
        artefact: the cached artefact.
        seconds: training time; for a hybrid, that of the attack that it starts from.
        cached: whether the artefact came from the cache.
        parameter_count: number of trained parameters.
    """

    trained: tuple[Any, ...] = ()
    artefact: Artefact | None = None
    seconds: float | None = None
    cached: bool = False
    parameter_count: int | None = None


UNTRAINED = ReadyAttack()


def train(context: AttackContext) -> ReadyAttack:
    """Train the attack, or load its trained artefact from the cache.

    Raises:
        AttackFailedError: if it cannot be trained on the given data.
    """
    attack = context.attack
    if not isinstance(attack, TrainedAttack):
        if context.start is None:
            return UNTRAINED
        record = context.start.record  # the generator's training counts for the hybrid, too
        return ReadyAttack(
            seconds=record.training_seconds, cached=record.training_cached, parameter_count=record.parameters
        )
    artefact, cached = _artefact(context, attack)
    view = context.view(None)
    trained = attack.restore(artefact, **context.arguments(view, attack.restore), device=context.device)
    return ReadyAttack((trained,), artefact, artefact.training_seconds, cached, artefact.parameter_count)


def _artefact(context: AttackContext, attack: TrainedAttack[Any]) -> tuple[Artefact, bool]:
    """The artefact, and whether it came from the cache."""
    known = context.arguments(context.view(None), attack.fit)
    key = artefact_key(context.job, attack, context.reader.manifest, context.device)
    with context.host.exclusive(key):  # a second process waits here and then finds the artefact
        found = artefacts.find(key)
        if found is not None:
            context.progress.say(f"attack {attack.name}: trained generator found in the cache")
            return found, True
        begun = time.perf_counter()
        generator = seeds.torch_generator(context.stream_root, "attack-training", attack.training_stream)
        made = attack.fit(**known, generator=generator, progress=context.progress, device=context.device)
        artefact = replace(made, training_seconds=time.perf_counter() - begun)
        artefacts.store(key, artefact)
        return artefact, False
