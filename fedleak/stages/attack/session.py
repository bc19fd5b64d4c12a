"""Second stage: attack a transcript. Imports neither Flower nor Ray, and never reads the ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from fedleak.attacks.order import in_order, source_of
from fedleak.errors import AttackFailedError
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.attempts import CrashError, crashes
from fedleak.stages.attack.context import AttackContext
from fedleak.stages.attack.device import choose_device
from fedleak.stages.attack.fingerprints import attack_fingerprint
from fedleak.stages.attack.finished import FinishedAttack
from fedleak.stages.attack.host import Host, SameProcess
from fedleak.stages.attack.job import AttackJob
from fedleak.stages.attack.memory import PeakMemory
from fedleak.stages.attack.record import (
    RECORD,
    AttackRecord,
    Attempt,
    LabelSource,
    PartFiles,
    check_files,
    finish,
    load_record,
)
from fedleak.stages.attack.train import UNTRAINED, ReadyAttack, train
from fedleak.stages.attack.victims import attack_victims
from fedleak.stages.attack.weights import save_estimates
from fedleak.transcript.checksums import CHECKSUMS
from fedleak.transcript.manifest import MANIFEST, file_digest
from fedleak.transcript.reader import TranscriptReader


def attack(
    job: AttackJob, run: RunDirectory, progress: Progress, *, host: Host | None = None, verify: bool = True
) -> None:
    """Run every attack of ``job`` that is not already done on this transcript, in this process.

    Commands call it in a process of its own (see ``isolated``): whatever this process has opened, an attack can find.

    Args:
        job, progress: the attacks, and where their progress is reported.
        run: only its transcript is read; ``attacks/`` and the log of errors are written.
        host: the process that runs the stage (default: the caller's).
        verify: compare the checksums of the transcript.

    Raises:
        InputError: if the transcript is missing, foreign or damaged.
    """
    device = choose_device(job.device)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    host = host or SameProcess()
    reader = TranscriptReader(run.transcript, verify=verify)
    transcript_digest = file_digest(run.transcript / MANIFEST)
    for component in in_order(job.attacks):
        fingerprint = attack_fingerprint(job, component, transcript_digest, device)
        parts = _parts(run.attacks / component.name, fingerprint)
        if _is_done(parts, fingerprint):
            progress.say(f"attack {component.name}: already done, reconstructions reused")
            continue
        earlier = load_record(parts.folder)
        if earlier is not None and earlier.fingerprint != fingerprint:
            progress.say(f"attack {component.name}: its settings, its code or the transcript changed; it runs anew")
        source = source_of(component, job.attacks)
        start = FinishedAttack(run.attacks / source.name) if source is not None else None
        host.begun(component.name)
        _run(AttackContext(job, component, reader, device, progress, start, run.errors, host), parts, fingerprint)
        host.ended(component.name)


def all_done(job: AttackJob, run: RunDirectory) -> bool:
    """Whether every attack of ``job`` is done on the transcript, so that none of their code need run."""
    device, digest = choose_device(job.device), file_digest(run.transcript / MANIFEST)
    prints = {component.name: attack_fingerprint(job, component, digest, device) for component in job.attacks}
    return all(_is_done(_parts(run.attacks / name, print_), print_) for name, print_ in prints.items())


def _is_done(parts: PartFiles, fingerprint: str) -> bool:
    record = load_record(parts.folder)
    return record is not None and record.fingerprint == fingerprint and record.rows <= parts.done


def _parts(folder: Path, fingerprint: str) -> PartFiles:
    """The reconstructions so far; those of a finished attack are compared with their checksums before they are read."""
    record = load_record(folder)
    if record is not None and record.fingerprint == fingerprint:
        check_files(folder)
    return PartFiles(folder, fingerprint)


def _run(context: AttackContext, parts: PartFiles, fingerprint: str) -> None:
    """Train if needed, attack every usable update that is not in ``parts``, and write the record."""
    for name in (RECORD, CHECKSUMS):  # they no longer describe the files
        (parts.folder / name).unlink(missing_ok=True)
    memory = PeakMemory(context.device)
    updates = [update for update in context.reader.manifest.updates if update.status == "ok"]
    training: ReadyAttack = UNTRAINED
    failure: Exception | None = None
    try:
        if context.attack.name in context.job.lost:
            raise CrashError(context.job.lost[context.attack.name])
        with crashes(context.errors, context.title()):
            training = train(context)
            save_estimates(parts.folder, training.artefact)
    except (AttackFailedError, CrashError) as error:
        failure = error
        context.progress.say(f"attack {context.attack.name}: failed: {error}")
    attack_victims(context, updates, training.trained, parts, failure=failure)
    finish(parts.folder, _record(context, training, parts, fingerprint, memory))
    context.host.written()


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
