"""Input of scoring: a run with a finished federation, and the scenario used for scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from fedleak.errors import InputError
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.agreement import open_transcript
from fedleak.stages.score.truth import Truth, TruthReader
from fedleak.transcript.manifest import UpdateRecord
from fedleak.transcript.reader import TranscriptReader


@dataclass(frozen=True)
class RecordedRun:
    """A run with its scenario, files, transcript and, where there is any, ground truth."""

    scenario: Scenario
    files: RunDirectory
    reader: TranscriptReader
    truth: TruthReader | None

    @classmethod
    def open(cls, scenario: Scenario, files: RunDirectory) -> Self:
        """Open the transcript and, where there is any, the ground truth of a run.

        Raises:
            InputError: if the transcript is missing, or either is damaged.
        """
        reader = open_transcript(scenario, files.transcript, verify=False)
        truth = TruthReader(files.truth) if files.truth.is_dir() else None
        if truth is not None:
            truth.check_transcript(files.transcript)
        return cls(scenario, files, reader, truth)

    @cached_property
    def updates(self) -> dict[int, UpdateRecord]:
        """The usable updates, by their row in the transcript."""
        return {update.row: update for update in self.reader.manifest.updates if update.status == "ok"}

    @cached_property
    def scored(self) -> dict[int, UpdateRecord]:
        """The usable updates whose images are known; without ground truth none, elsewhere all as a rule."""
        known = self.truth.knows if self.truth is not None else _nothing
        return {row: update for row, update in self.updates.items() if known(row, update.clients)}

    def truth_of(self, update: UpdateRecord) -> Truth:
        """The images and labels behind an update or sum.

        Raises:
            InputError: if they were changed, cannot be read, or do not fit the transcript.
        """
        if self.truth is None:
            raise InputError("RUN_DIR", str(self.files.root), "it has no ground truth")
        truth = self.truth.batch(update.row, update.clients)
        manifest, path = self.reader.manifest, str(self.files.truth)
        if tuple(truth.images.shape[1:]) != manifest.input_shape:
            found = tuple(truth.images.shape[1:])
            raise InputError("RUN_DIR", path, f"its images are {found}, those of the transcript {manifest.input_shape}")
        if int(truth.labels.max()) >= manifest.classes:
            allowed = f"it holds label {int(truth.labels.max())}; the transcript has {manifest.classes} classes"
            raise InputError("RUN_DIR", path, allowed)
        return truth


def _nothing(row: int, clients: Sequence[int]) -> bool:
    return False
