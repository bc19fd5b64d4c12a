"""Input of scoring: a run with a finished federation, and the scenario used for scoring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

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
        return cls(scenario, files, open_transcript(scenario, files.transcript, verify=False), TruthReader(files.truth))

    @cached_property
    def updates(self) -> dict[int, UpdateRecord]:
        """The usable updates, by their row in the transcript."""
        return {update.row: update for update in self.reader.manifest.updates if update.status == "ok"}

    def truth_of(self, update: UpdateRecord) -> Truth:
        """The images and labels behind an update or sum."""
        return self.truth.batch(update.row, update.summed)
