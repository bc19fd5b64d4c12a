"""The batch behind an update and the model that it was computed on, for analyses and theorems."""

from __future__ import annotations

from functools import cached_property

from torch import nn

from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.models.state import load_state
from fedleak.stages.score.recorded import RecordedRun
from fedleak.transcript.manifest import UpdateRecord


class LeakedBatches:
    """Loads batches one at a time, with one shared network; a batch is valid until the next one is loaded."""

    def __init__(self, run: RecordedRun) -> None:
        self._run = run

    @cached_property
    def _network(self) -> nn.Module:
        manifest = self._run.reader.manifest
        scenario = self._run.scenario
        return scenario.served_model.factory(manifest.input_shape, scenario.task.outputs(manifest.classes))(0).eval()

    def of(self, update: UpdateRecord) -> LeakedBatch:
        """The batch behind an update, with the model version that it was computed on."""
        manifest, truth = self._run.reader.manifest, self._run.truth_of(update)
        crafted = self._run.reader.sent(update.round, update.clients[0])
        load_state(self._network, crafted or self._run.reader.model(update.model_version))
        return LeakedBatch(
            self._network,
            truth.images,
            truth.labels,
            mean=manifest.mean,
            std=manifest.std,
            places=truth.places,
            task=self._run.scenario.task,
            classes=manifest.classes,
        )
