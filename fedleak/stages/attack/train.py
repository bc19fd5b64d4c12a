"""Training an attack offline, or finding what was trained before."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from fedleak import artefacts, seeds
from fedleak.attacks.base import Artefact, TrainedAttack
from fedleak.stages.attack.context import AttackContext
from fedleak.stages.attack.fingerprints import artefact_key


@dataclass(frozen=True)
class ReadyAttack:
    """What the training of an attack gave and cost.

    Attributes:
        trained: what goes before the capabilities in a call of ``reconstruct``: nothing, or the trained object.
        artefact: what is cached.
        seconds: of training; of a hybrid those of the attack that it starts from, too.
        cached: whether it was found and not made.
        parameter_count: how many numbers were trained.
    """

    trained: tuple[Any, ...] = ()
    artefact: Artefact | None = None
    seconds: float | None = None
    cached: bool = False
    parameter_count: int | None = None


UNTRAINED = ReadyAttack()


def train(context: AttackContext) -> ReadyAttack:
    """Train the attack, or find the artefact of its training in the cache.

    Raises:
        AttackFailedError: if it cannot be trained on what it was given.
    """
    attack = context.attack
    if not isinstance(attack, TrainedAttack):
        if context.start is None:
            return UNTRAINED
        record = context.start.record  # the generator's training belongs to the hybrid, too
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
    key = artefact_key(context.scenario, attack, context.reader.manifest, context.device)
    with artefacts.exclusive(key):  # a second process waits here, and finds what the first has trained
        found = artefacts.find(key)
        if found is not None:
            context.progress.say(f"attack {attack.name}: trained generator found in the cache")
            return found, True
        begun = time.perf_counter()
        generator = seeds.torch_generator(context.scenario.seed, "attack-training", attack.training_stream)
        made = attack.fit(**known, generator=generator, progress=context.progress, device=context.device)
        artefact = replace(made, training_seconds=time.perf_counter() - begun)
        artefacts.store(key, artefact)
        return artefact, False
