"""Analyses of the leaked model, computed once for each update and added to the scores of every attack on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fedleak import seeds
from fedleak.errors import describe
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.records import log_traceback
from fedleak.results.estimates import mean_interval
from fedleak.results.schema import Interval, ResultRow
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun
from fedleak.transcript.manifest import UpdateRecord

ImagePlace = tuple[int, int, int]
"""Victim, round and image index."""


class Analyses:
    """The values of the scenario's analyses at the images behind every recorded update.

    The random draws of a client are the same in every round, so that its rounds differ only by the model.

    Attributes:
        failures: kind of an analysis that failed on some update -> the first reason.
    """

    def __init__(self, run: RecordedRun, batches: LeakedBatches) -> None:
        self._scenario, self._log = run.scenario, run.files.errors
        self.failures: dict[str, str] = {}
        self._values: dict[ImagePlace, dict[str, float | None]] = {}
        for update in run.scored.values() if run.scenario.analyses else ():
            self._add(update, batches.of(update))

    def _add(self, update: UpdateRecord, batch: LeakedBatch) -> None:
        for analysis in self._scenario.analyses:
            generator = seeds.torch_generator(self._scenario.seed, "analysis", analysis.kind, update.client)
            try:
                values = analysis.evaluate(batch, generator=generator).tolist()
            except (Exception, SystemExit) as error:  # an analysis may be a user's own code, which may raise anything
                self.failures.setdefault(analysis.kind, describe(error))
                log_traceback(self._log, f"analysis {analysis.kind}, client {update.client}", error)
                continue
            for (client, image), value in zip(batch.places, values, strict=True):
                column = self._values.setdefault((client, update.round, image), {})
                column[analysis.kind] = value if math.isfinite(value) else None

    def beside(self, rows: Iterable[ResultRow]) -> list[ResultRow]:
        """The rows with the values of their images added as further metrics."""
        return [row.model_copy(update={"metrics": {**row.metrics, **self._of_image(row)}}) for row in rows]

    def _of_image(self, row: ResultRow) -> dict[str, float | None]:
        return self._values.get((row.victim, row.round, row.image), {}) if row.image is not None else {}

    def of_round(self, number: int) -> dict[str, Interval]:
        """Mean and interval over the images of a round, by kind."""
        columns: dict[str, dict[ImagePlace, float]] = {}
        for place, values in self._values.items():
            for kind, value in values.items() if place[1] == number else ():
                columns.setdefault(kind, {}).update({} if value is None else {place: value})
        found = {
            kind: mean_interval(list(column.values()), [client for client, _, _ in column])
            for kind, column in columns.items()
        }
        return {kind: interval for kind, interval in found.items() if interval is not None}
