"""Base class of checks, what they examine, and their findings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from fedleak.component import Component
from fedleak.examples import InputShape
from fedleak.records import Record
from fedleak.scenario.schema import Scenario
from fedleak.transcript.reader import TranscriptReader

Severity = Literal["error", "warning", "note"]


class DoctorFinding(Record):
    """One problem, or possible problem.

    Attributes:
        check: kind of the check.
        severity: ``error``: it cannot work like this; ``warning``: it will work worse than it could; ``note``.
        what: what was found.
        why: why it matters.
        remedy: what to do.
    """

    check: str
    severity: Severity
    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """Constants of the data set: shape of an image, number of classes, normalisation."""

    input_shape: InputShape
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ExaminedRun:
    """A scenario, with its transcript if it has been run.

    Attributes:
        facts: None if the data could not be read.
        reader: None if the scenario was not run.
    """

    scenario: Scenario
    facts: Facts | None
    reader: TranscriptReader | None = None

    @cached_property
    def module(self) -> nn.Module | None:
        """The network with fresh weights; None without facts."""
        if self.facts is None:
            return None
        outputs = self.scenario.task.outputs(self.facts.classes)
        return self.scenario.served_model.build(self.facts.input_shape, outputs, seed=0)

    def layers(self, *kinds: type[nn.Module]) -> list[str]:
        """Names of the network's layers of these kinds."""
        return [name for name, layer in self.module.named_modules() if isinstance(layer, kinds)] if self.module else []

    @property
    def samples(self) -> int | None:
        """Images per update, if the scenario fixes the number."""
        client = self.scenario.federation.client
        return client.batch_size if client.protocol == "fedsgd" else client.samples

    @property
    def recorded_updates(self) -> int:
        """Number of usable updates in the transcript."""
        if self.reader is None:
            return 0
        return sum(update.status == "ok" for update in self.reader.manifest.updates)

    def updates(self, limit: int) -> Iterator[tuple[int, int | None, dict[str, Tensor]]]:
        """Row, number of images and tensors of the first usable updates."""
        if self.reader is None:
            return
        manifest = self.reader.manifest
        usable = [update for update in manifest.updates if update.status == "ok"]
        for update in usable[:limit]:
            yield update.row, update.samples, manifest.parameters.unflatten(self.reader.update(update.row))

    @cached_property
    def last_bias(self) -> bool | None:
        """Whether the last linear layer has a bias; None if unknown."""
        linear = [layer for layer in self.module.modules() if isinstance(layer, nn.Linear)] if self.module else []
        return linear[-1].bias is not None if linear else None


class DoctorCheck(Component):
    """Base class of checks; each examines one aspect."""

    @abstractmethod
    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """Yield the findings; none if there is no problem or it cannot tell."""

    def found(self, severity: Severity, what: str, *, why: str, remedy: str) -> DoctorFinding:
        """A finding of this check."""
        return DoctorFinding(check=self.kind, severity=severity, what=what, why=why, remedy=remedy)


def is_cuda_there() -> bool:
    """Whether this machine has a CUDA device."""
    return torch.cuda.is_available()
