"""Analyses of the leaked model, once for each update, beside the scores of every attack on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

from torch import nn

from fedleak import seeds
from fedleak.analysis.base import LeakedBatch
from fedleak.results.intervals import mean_interval
from fedleak.results.schema import Interval, ResultRow
from fedleak.scenario import Scenario
from fedleak.transcript.manifest import UpdateRecord
from fedleak.transcript.reader import TranscriptReader
from fedleak.truth import TruthReader

Place = tuple[int, int]
"""Victim and round."""


class Analyses:
    """The values of ``scenario.analyses`` at the images behind every recorded update.

    The random draws of a client are the same in every round, so that its rounds differ by the model alone.
    """

    def __init__(self, scenario: Scenario, reader: TranscriptReader, truth: TruthReader) -> None:
        self._scenario, self._reader, self._truth = scenario, reader, truth
        updates = [update for update in reader.manifest.updates if update.status == "ok"]
        self._values = {(u.client, u.round): self._of_update(u) for u in updates} if scenario.analyses else {}

    @cached_property
    def _network(self) -> nn.Module:
        manifest = self._reader.manifest
        return self._scenario.model.build(manifest.input_shape, manifest.classes, seed=0).eval()

    def _of_update(self, update: UpdateRecord) -> dict[str, list[float | None]]:
        manifest, truth = self._reader.manifest, self._truth.batch(update.row)
        self._network.load_state_dict(self._reader.model(update.model_version))
        batch = LeakedBatch(self._network, truth.images, truth.labels, mean=manifest.mean, std=manifest.std)
        found = {}
        for analysis in self._scenario.analyses:
            generator = seeds.torch_generator(self._scenario.seed, "analysis", analysis.kind, update.client)
            values = analysis.evaluate(batch, generator=generator).tolist()
            found[analysis.kind] = [value if math.isfinite(value) else None for value in values]
        return found

    def beside(self, rows: Iterable[ResultRow]) -> list[ResultRow]:
        """The rows, with the values of their images as further metrics."""
        return [row.model_copy(update={"metrics": {**row.metrics, **self._of_image(row)}}) for row in rows]

    def _of_image(self, row: ResultRow) -> dict[str, float | None]:
        values = self._values.get((row.victim, row.round), {})
        return {kind: column[row.image] for kind, column in values.items() if row.image is not None}

    def of_round(self, number: int) -> dict[str, Interval]:
        """Mean and interval over the images of a round, by kind."""
        columns: dict[str, list[float]] = {}
        for (_, round_number), values in self._values.items():
            for kind, column in values.items() if round_number == number else ():
                columns.setdefault(kind, []).extend(value for value in column if value is not None)
        return {kind: found for kind, column in columns.items() if (found := self._interval(column)) is not None}

    def _interval(self, values: Sequence[float]) -> Interval | None:
        resamples, seed = self._scenario.bootstrap_resamples, self._scenario.seed
        return mean_interval(values, resamples=resamples, seed=seed)
