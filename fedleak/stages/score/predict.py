"""What theorems predict of every recorded update, as rows beside those of the attacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedleak import seeds
from fedleak.metrics.theory.base import NotApplicableError, Prediction, Theory
from fedleak.results.schema import ResultRow
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.rows import ScoredImages, add_update
from fedleak.stages.score.truth import Truth
from fedleak.transcript.manifest import TrainingRecord, UpdateRecord


def predict(
    theory: Theory, updates: Iterable[UpdateRecord], batches: LeakedBatches, training: TrainingRecord, *, seed: int
) -> tuple[ScoredImages, list[Mapping[str, float]], list[ResultRow]]:
    """The images of a theorem, matched to the truth; its own numbers, one mapping for each of those rows; and a failed
    row for every update of which it says nothing.
    """
    name = theory.row_name
    scored, failed = ScoredImages(), []
    numbers: list[Mapping[str, float]] = []
    for update in updates:
        leaked = batches.of(update)
        generator = seeds.torch_generator(seed, "theory", theory.kind, update.row)
        try:
            prediction: Prediction = theory.predict(leaked, training, generator=generator)
        except NotApplicableError as error:
            failed.append(
                ResultRow(
                    attack=name,
                    kind=theory.kind,
                    victim=update.client,
                    round=update.round,
                    status="failed",
                    reason=str(error),
                )
            )
            continue
        truth = Truth(leaked.images, leaked.labels, leaked.places)
        add_update(scored, attack=name, kind=theory.kind, update=update, images=prediction.images, truth=truth)
        numbers += [prediction.metrics] * (len(scored.rows) - len(numbers))
    return scored, numbers, failed
