"""Input of scoring: a run with a finished federation, and the scenario used for scoring."""

from __future__ import annotations

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
    """A run with its scenario, files, transcript and ground truth."""

    scenario: Scenario
    files: RunDirectory
    reader: TranscriptReader
    truth: TruthReader

    @classmethod
    def open(cls, scenario: Scenario, files: RunDirectory) -> Self:
        """Open the transcript and the ground truth of a run.

        Raises:
            InputError: if either is missing or damaged.
        """
        reader, truth = open_transcript(scenario, files.transcript, verify=False), TruthReader(files.truth)
        truth.check_transcript(files.transcript)
        return cls(scenario, files, reader, truth)

    @cached_property
    def updates(self) -> dict[int, UpdateRecord]:
        """The usable updates, by their row in the transcript."""
        return {update.row: update for update in self.reader.manifest.updates if update.status == "ok"}

    def truth_of(self, update: UpdateRecord) -> Truth:
        """The images and labels behind an update or sum.

        Raises:
            InputError: if they were changed, cannot be read, or do not fit the transcript.
        """
        truth = self.truth.batch(update.row, update.clients)
        manifest, path = self.reader.manifest, str(self.files.truth)
        if tuple(truth.images.shape[1:]) != manifest.input_shape:
            found = tuple(truth.images.shape[1:])
            raise InputError("RUN_DIR", path, f"its images are {found}, those of the transcript {manifest.input_shape}")
        if int(truth.labels.max()) >= manifest.classes:
            allowed = f"it holds label {int(truth.labels.max())}; the transcript has {manifest.classes} classes"
            raise InputError("RUN_DIR", path, allowed)
        return truth
