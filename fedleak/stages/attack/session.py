"""Second stage: attack a transcript. Imports neither Flower nor Ray, and never opens the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch

from fedleak import artefacts, seeds
from fedleak.attacks.base import Artefact, Attack, Reconstruction, SideBySideAttack, TrainedAttack
from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.order import in_order, source_of
from fedleak.errors import AttackFailedError
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.attempts import alike, check, failed
from fedleak.stages.attack.device import choose_device
from fedleak.stages.attack.fingerprints import artefact_key, attack_fingerprint
from fedleak.stages.attack.memory import PeakMemory
from fedleak.stages.attack.record import AttackRecord, Attempt, LabelSource, PartFiles, finish, load_record
from fedleak.stages.attack.starts import Starts
from fedleak.stages.attack.view import View
from fedleak.stages.attack.weights import save_estimates
from fedleak.threat import InjectedPairs
from fedleak.transcript.manifest import MANIFEST, UpdateRecord, file_digest
from fedleak.transcript.reader import TranscriptReader

PART_SECONDS = 20.0


def attack(scenario: Scenario, run: RunDirectory, progress: Progress) -> None:
    """Run every attack of ``scenario`` that is not already done on this transcript.

    Raises:
        InputError: if the transcript is missing, foreign or damaged.
    """
    device = choose_device(scenario.device)
    if scenario.threads is not None:
        torch.set_num_threads(scenario.threads)
    reader = TranscriptReader(run.transcript)
    transcript_digest = file_digest(run.transcript / MANIFEST)
    for component in in_order(scenario.attacks):
        fingerprint = attack_fingerprint(scenario, component, transcript_digest, device)
        record = load_record(run.attacks / component.name)
        parts = PartFiles(run.attacks / component.name, fingerprint)
        if record is not None and record.fingerprint == fingerprint and record.rows <= parts.attempts.keys():
            progress.say(f"attack {component.name}: already done, reconstructions reused")
            continue
        source = source_of(component, scenario.attacks)
        starts = Starts(run.attacks / source.name) if source is not None else None
        _Session(scenario, component, reader, device, progress, starts).run(parts, fingerprint)


Made = tuple[Attempt, Reconstruction | None]


class _Session:
    """One attack on one transcript."""

    def __init__(
        self,
        scenario: Scenario,
        component: Attack,
        reader: TranscriptReader,
        device: torch.device,
        progress: Progress,
        starts: Starts | None,
    ) -> None:
        self.scenario, self.component, self.reader = scenario, component, reader
        self.device, self.progress, self.starts = device, progress, starts
        self.artefact: Artefact | None = None
        self.parameter_count: int | None = None
        self.training_seconds: float | None = None
        self.cached = False

    def run(self, parts: PartFiles, fingerprint: str) -> None:
        """Train if need be, attack every usable update that is not in ``parts``, write the record."""
        memory = PeakMemory(self.device)
        updates = [update for update in self.reader.manifest.updates if update.status == "ok"]
        failure, trained = "", ()
        try:
            trained = self._trained()
        except AttackFailedError as error:
            failure = str(error)
            self.progress.say(f"attack {self.component.name}: failed: {failure}")
        self._attack_all(updates, trained, parts, failure)
        save_estimates(parts.folder, self.artefact)
        finish(
            parts.folder,
            AttackRecord(
                fingerprint=fingerprint,
                attack=self.component.name,
                kind=self.component.kind,
                description=type(self.component).summary(),
                settings=self.component.model_dump(mode="json", exclude={"id"}),
                capabilities=self._capabilities(),
                adaptive=self._adaptive,
                local_knowledge=self.component.local_knowledge if self.reader.manifest.protocol == "fedavg" else None,
                label_source=self._label_source(parts.attempts.values()),
                training_seconds=self.training_seconds,
                training_cached=self.cached,
                peak_memory_bytes=memory.bytes(),
                parameters=self.parameter_count,
                curves=dict(self.artefact.curves) if self.artefact else {},
                attempts=tuple(parts.attempts[row] for row in sorted(parts.attempts)),
            ),
        )

    def _label_source(self, attempts: Iterable[Attempt]) -> LabelSource:
        """Told by what is on disk, so that it is the same after a kill."""
        if any(attempt.guessed_by_attack for attempt in attempts):
            return "attack"
        if self._label_inference is None:
            return "none"
        return "true" if self._label_inference.is_oracle else "inferred"

    def _capabilities(self) -> tuple[str, ...]:
        """Names of what it was given, and of what the attack that it starts from was given."""
        own = {capability.capability_name() for capability in self.component.wanted()}
        return tuple(sorted(own | set(self.starts.record.capabilities if self.starts else ())))

    @property
    def _adaptive(self) -> bool:
        """Whether it, or the attack that it starts from, took the clients' post-processing into account."""
        pairs = self.reader.manifest.pairs
        clean = InjectedPairs in self.component.wanted() and pairs is not None and not pairs.postprocessed
        return (self.component.adapts and not clean) or (self.starts is not None and self.starts.record.adaptive)

    @property
    def _label_inference(self) -> LabelInference | None:
        return self.scenario.adversary.label_inference

    def _view(self, update: UpdateRecord | None) -> View:
        return View(
            self.reader,
            self.scenario.adversary.granted,
            update,
            inference=self._label_inference,
            device=self.device,
            starts=self.starts.of if self.starts else None,
            version=self.component.version,
        )

    def _known(self, view: View, method: Callable[..., Any]) -> dict[str, Any]:
        return view.capabilities(method, wanted=self.component.wanted())

    def _trained(self) -> tuple[Any, ...]:
        """What goes before the capabilities in a call of ``reconstruct``: nothing, or the trained object."""
        component = self.component
        if self.starts is not None:  # the generator's training belongs to the hybrid too
            record = self.starts.record
            self.training_seconds, self.cached = record.training_seconds, record.training_cached
            self.parameter_count = record.parameters
        if not isinstance(component, TrainedAttack):
            return ()
        view = self._view(None)
        known = self._known(view, component.fit)
        key = artefact_key(self.scenario, component, self.reader.manifest, self.device)
        with artefacts.exclusive(key):  # whoever comes second waits, and finds what the first has trained
            artefact = artefacts.find(key)
            self.cached = artefact is not None
            if artefact is None:
                start = time.perf_counter()
                stream = component.training_stream or component.kind
                generator = seeds.torch_generator(self.scenario.seed, "attack-training", stream)
                artefact = component.fit(**known, generator=generator, progress=self.progress, device=self.device)
                seconds = time.perf_counter() - start
                artefact = replace(artefact, training_seconds=seconds)
                artefacts.store(key, artefact)
            else:
                self.progress.say(f"attack {component.name}: trained generator found in the cache")
        self.artefact, self.parameter_count = artefact, artefact.parameter_count
        self.training_seconds = artefact.training_seconds
        return (component.restore(artefact, **self._known(view, component.restore), device=self.device),)

    def _attack_all(
        self, updates: list[UpdateRecord], trained: tuple[Any, ...], parts: PartFiles, failure: str
    ) -> None:
        # Who goes with whom never depends on what an earlier process has done: the same bytes after a kill.
        groups = list(alike(updates, 1 if failure else self._together(updates), version=self.component.version))
        groups = [group for group in groups if any(update.row not in parts.attempts for update in group)]
        bar = self.progress.task(f"attacking with {self.component.name}", sum(len(group) for group in groups))
        attempts: list[Attempt] = []
        images: dict[int, torch.Tensor] = {}
        written = time.monotonic()
        for group in groups:
            made = self._attack_group(group, trained, failure)
            attempts += [attempt for attempt, _ in made]
            images |= {attempt.row: rebuilt.images for attempt, rebuilt in made if rebuilt is not None}
            bar.advance(len(group))
            if time.monotonic() - written > PART_SECONDS:
                parts.write(attempts, images)
                attempts, images, written = [], {}, time.monotonic()
        if attempts:
            parts.write(attempts, images)

    def _attack_group(self, group: list[UpdateRecord], trained: tuple[Any, ...], failure: str) -> list[Made]:
        if failure:
            return [(failed(update, failure), None) for update in group]
        return [self._attack_one(group[0], trained)] if len(group) == 1 else self._attack_several(group)

    def _together(self, updates: list[UpdateRecord]) -> int:
        """How many victims the attack takes at once, judged by the first."""
        component = self.component
        if not updates or isinstance(component, TrainedAttack) or not isinstance(component, SideBySideAttack):
            return 1
        try:
            return component.victims_together(self._known(self._view(updates[0]), component.reconstruct)["known"])
        except AttackFailedError:
            return 1  # the first one will fail by itself, with its reason

    def _generator(self, update: UpdateRecord) -> torch.Generator:
        return seeds.torch_generator(
            self.scenario.seed, "attack", self.component.name, update.round, update.client, device="cpu"
        )

    def _attack_one(self, update: UpdateRecord, trained: tuple[Any, ...]) -> Made:
        view = self._view(update)
        start = time.perf_counter()
        try:
            known = self._known(view, self.component.reconstruct)
            start = time.perf_counter()  # reading the transcript is not part of the attack
            rebuilt = self.component.reconstruct(*trained, **known, generator=self._generator(update))
        except AttackFailedError as error:
            return failed(update, str(error), time.perf_counter() - start), None
        return self._made(update, view, rebuilt, time.perf_counter() - start)

    def _attack_several(self, group: list[UpdateRecord]) -> list[Made]:
        """Side by side; the time is shared out equally."""
        made: dict[int, Made] = {}
        ready: list[tuple[UpdateRecord, View, dict[str, Any]]] = []
        for update in group:
            view = self._view(update)
            try:
                ready.append((update, view, self._known(view, self.component.reconstruct)))
            except AttackFailedError as error:
                made[update.row] = failed(update, str(error)), None
        start = time.perf_counter()
        if not isinstance(self.component, SideBySideAttack):
            raise TypeError(f"{self.component.kind} takes one update at a time")
        rebuilt = self.component.reconstruct_several(
            [known["known"] for _, _, known in ready], generators=[self._generator(update) for update, _, _ in ready]
        )
        seconds = (time.perf_counter() - start) / max(1, len(ready))
        for (update, view, _), answer in zip(ready, rebuilt, strict=True):
            if isinstance(answer, AttackFailedError):
                made[update.row] = failed(update, str(answer), seconds), None
            else:
                made[update.row] = self._made(update, view, answer, seconds)
        return [made[update.row] for update in group]

    def _made(self, update: UpdateRecord, view: View, rebuilt: Reconstruction, seconds: float) -> Made:
        """A reconstruction, checked, with labels and what it cost."""
        if self.starts is not None:
            seconds += self.starts.attempt(update.row).seconds
        try:
            check(rebuilt, self.reader.manifest.input_shape)
        except AttackFailedError as error:
            return failed(update, str(error), seconds), None
        own = rebuilt.labels is not None
        labels = rebuilt.labels if own else self._infer_labels(view, len(rebuilt.images))
        attempt = Attempt(
            row=update.row,
            seconds=seconds,
            status="ok",
            labels=tuple(int(label) for label in labels) if labels is not None else None,
            guessed_by_attack=own,
            curve={name: list(values) for name, values in rebuilt.curve.items()},
        )
        return attempt, rebuilt

    def _infer_labels(self, view: View, count: int) -> torch.Tensor | None:
        inference = self._label_inference
        if inference is None:
            return None
        known = view.capabilities(inference.infer)
        try:
            return inference.infer(**known, count=count)
        except AttackFailedError:
            return None  # the images stand without labels; their cells stay empty
