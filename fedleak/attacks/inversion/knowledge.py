"""Bundles of capabilities that an inversion has for one update; they are its threat model."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedleak.threat import (
    BatchStatistics,
    GlobalModel,
    InferredLabels,
    Knowledge,
    MiniBatchOrder,
    ModelArchitecture,
    PixelPrior,
    PostProcessingDetails,
    SharedUpdate,
    StartingImages,
    TrainingDetails,
)


@dataclass(frozen=True, kw_only=True)
class InversionKnowledge(Knowledge):
    """Capabilities of every inversion, and optional ones that some settings need."""

    update: SharedUpdate
    architecture: ModelArchitecture
    model: GlobalModel
    pixels: PixelPrior
    labels: InferredLabels | None = None
    """None: labels are searched for together with the images."""
    training: TrainingDetails | None = None
    order: MiniBatchOrder | None = None
    start: StartingImages | None = None
    postprocessing: PostProcessingDetails | None = None
    statistics: BatchStatistics | None = None


@dataclass(frozen=True, kw_only=True)
class LabelledKnowledge(InversionKnowledge):
    """The same with labels from the scenario's label inference."""

    labels: InferredLabels = field()  # without the base's default


@dataclass(frozen=True, kw_only=True)
class LocalTrainingKnowledge(LabelledKnowledge):
    """The same with the settings of the client's local training."""

    training: TrainingDetails = field()
