"""Second stage: attack a transcript. Imports neither Flower nor Ray, and never reads the ground truth."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from fedleak.attacks.order import in_order, source_of
from fedleak.errors import AttackFailedError
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.agreement import open_transcript
from fedleak.stages.attack.context import AttackContext
from fedleak.stages.attack.device import choose_device
from fedleak.stages.attack.fingerprints import attack_fingerprint
from fedleak.stages.attack.finished import FinishedAttack
from fedleak.stages.attack.memory import PeakMemory
from fedleak.stages.attack.record import AttackRecord, Attempt, LabelSource, PartFiles, check_files, finish, load_record
from fedleak.stages.attack.train import UNTRAINED, ReadyAttack, train
from fedleak.stages.attack.victims import attack_victims
from fedleak.stages.attack.weights import save_estimates
from fedleak.transcript.manifest import MANIFEST, file_digest


def attack(scenario: Scenario, run: RunDirectory, progress: Progress) -> None:
    """Run every attack of ``scenario`` that is not already done on this transcript.

    Raises:
        InputError: if the transcript is missing, foreign or damaged.
    """
    device = choose_device(scenario.device)
    if scenario.threads is not None:
        torch.set_num_threads(scenario.threads)
    reader = open_transcript(scenario, run.transcript)
    transcript_digest = file_digest(run.transcript / MANIFEST)
    for component in in_order(scenario.attacks):
        fingerprint = attack_fingerprint(scenario, component, transcript_digest, device)
        record = load_record(run.attacks / component.name)
        if record is not None and record.fingerprint == fingerprint:
            check_files(run.attacks / component.name)
        elif record is not None:
            progress.say(f"attack {component.name}: its settings, its code or the transcript changed; it runs anew")
        parts = PartFiles(run.attacks / component.name, fingerprint)
        if record is not None and record.fingerprint == fingerprint and record.rows <= parts.attempts.keys():
            progress.say(f"attack {component.name}: already done, reconstructions reused")
            continue
        source = source_of(component, scenario.attacks)
        start = FinishedAttack(run.attacks / source.name) if source is not None else None
        _run(AttackContext(scenario, component, reader, device, progress, start), parts, fingerprint)


def _run(context: AttackContext, parts: PartFiles, fingerprint: str) -> None:
    """Train if needed, attack every usable update that is not in ``parts``, and write the record."""
    memory = PeakMemory(context.device)
    updates = [update for update in context.reader.manifest.updates if update.status == "ok"]
    training, failure = UNTRAINED, ""
    try:
        training = train(context)
    except AttackFailedError as error:
        failure = str(error)
        context.progress.say(f"attack {context.attack.name}: failed: {failure}")
    attack_victims(context, updates, training.trained, parts, failure=failure)
    save_estimates(parts.folder, training.artefact)
    finish(parts.folder, _record(context, training, parts, fingerprint, memory))


def _record(
    context: AttackContext, training: ReadyAttack, parts: PartFiles, fingerprint: str, memory: PeakMemory
) -> AttackRecord:
    attack = context.attack
    return AttackRecord(
        fingerprint=fingerprint,
        attack=attack.name,
        kind=attack.kind,
        description=type(attack).summary(),
        settings=attack.model_dump(mode="json", exclude={"id"}),
        capabilities=context.capability_names,
        adaptive=context.adaptive,
        local_knowledge=attack.local_knowledge if context.reader.manifest.protocol == "fedavg" else None,
        label_source=_label_source(context, parts.attempts.values()),
        training_seconds=training.seconds,
        training_cached=training.cached,
        peak_memory_bytes=memory.bytes(),
        parameters=training.parameter_count,
        curves=dict(training.artefact.curves) if training.artefact is not None else {},
        attempts=tuple(parts.attempts[row] for row in sorted(parts.attempts)),
    )


def _label_source(context: AttackContext, attempts: Iterable[Attempt]) -> LabelSource:
    """Determined from the files on disk, so that it is the same after an interruption."""
    if any(attempt.guessed_by_attack for attempt in attempts):
        return "attack"
    if context.label_inference is None:
        return "none"
    return "true" if context.label_inference.is_oracle else "inferred"
