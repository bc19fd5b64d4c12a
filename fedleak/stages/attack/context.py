"""One attack on one transcript: its capabilities and its random streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fedleak import seeds
from fedleak.attacks.base import Attack
from fedleak.attacks.labels.base import LabelInference
from fedleak.progress import Progress
from fedleak.stages.attack.finished import FinishedAttack
from fedleak.stages.attack.host import Host
from fedleak.stages.attack.job import AttackJob
from fedleak.stages.attack.view import View
from fedleak.threat import InjectedPairs
from fedleak.transcript.manifest import UpdateRecord
from fedleak.transcript.reader import TranscriptReader


@dataclass(frozen=True)
class AttackContext:
    """An attack of a scenario on a transcript.

    Attributes:
        start: the finished attack from whose reconstructions this one starts, if any.
        errors: log of the tracebacks of unexpected errors.
        host: the process that runs the stage.
    """

    job: AttackJob
    attack: Attack
    reader: TranscriptReader
    device: torch.device
    progress: Progress
    start: FinishedAttack | None
    errors: Path
    host: Host

    @property
    def stream_root(self) -> str:
        """Root of the attack's random streams: the adversary's, unrelated to those of the clients."""
        return self.reader.manifest.stream_root

    @property
    def label_inference(self) -> LabelInference | None:
        """The scenario's label inference, if any."""
        return self.job.label_inference

    @property
    def capability_names(self) -> tuple[str, ...]:
        """Names of the capabilities of the attack, and of the attack that it starts from."""
        own = {capability.capability_name() for capability in self.attack.wanted()}
        return tuple(sorted(own | set(self.start.record.capabilities if self.start else ())))

    @property
    def adaptive(self) -> bool:
        """Whether the attack, or the one that it starts from, takes the clients' post-processing into account."""
        pairs = self.reader.manifest.pairs
        clean = InjectedPairs in self.attack.wanted() and pairs is not None and not pairs.postprocessed
        return (self.attack.adapts and not clean) or (self.start is not None and self.start.record.adaptive)

    def title(self, *updates: UpdateRecord) -> str:
        """What is attacked, for the log of errors."""
        places = "; ".join(f"round {update.round}, client {update.client}" for update in updates)
        return f"attack {self.attack.name}, {places or 'training'}"

    def view(self, update: UpdateRecord | None) -> View:
        """The adversary's view of an update; with None, of the transcript as a whole."""
        return View(
            self.reader,
            self.job.granted,
            update,
            inference=self.label_inference,
            device=self.device,
            starts=self.start.of if self.start else None,
            version=self.attack.version,
        )

    def arguments(self, view: View, method: Callable[..., Any]) -> dict[str, Any]:
        """Arguments of a method of the attack, from a view."""
        return view.capabilities(method, wanted=self.attack.wanted())

    def generator(self, update: UpdateRecord) -> torch.Generator:
        """Random generator of the attack for one update."""
        return seeds.torch_generator(
            self.stream_root, "attack", self.attack.attack_stream, update.round, update.client, device="cpu"
        )
