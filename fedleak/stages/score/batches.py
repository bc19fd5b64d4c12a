"""The batch behind an update together with the model that it was computed on, for analyses and theorems."""

from __future__ import annotations

from functools import cached_property

from torch import nn

from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.scenario.schema import Scenario
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.manifest import UpdateRecord
from fedleak.transcript.reader import TranscriptReader


class LeakedBatches:
    """Loads them one at a time into one network; a batch is good until the next is asked for."""

    def __init__(self, scenario: Scenario, reader: TranscriptReader, truth: TruthReader) -> None:
        self._scenario, self._reader, self._truth = scenario, reader, truth

    @cached_property
    def _network(self) -> nn.Module:
        manifest = self._reader.manifest
        return self._scenario.model.build(manifest.input_shape, manifest.classes, seed=0).eval()

    def of(self, update: UpdateRecord) -> LeakedBatch:
        """The truth behind an update, at its model version."""
        manifest, truth = self._reader.manifest, self._truth.batch(update.row, update.summed)
        self._network.load_state_dict(self._reader.model(update.model_version))
        return LeakedBatch(
            self._network,
            truth.images,
            truth.labels,
            mean=manifest.mean,
            std=manifest.std,
            places=truth.places,
        )
