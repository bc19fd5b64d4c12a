"""The families of components, each with its base class and the package in which its kinds lie."""

from __future__ import annotations

from typing import Any

from fedleak.aggregation.base import Aggregation
from fedleak.analysis.base import Analysis
from fedleak.attacks.base import Attack
from fedleak.attacks.labels.base import LabelInference
from fedleak.augment.base import Augmentation
from fedleak.component import Component, discover
from fedleak.datasets.base import Dataset
from fedleak.guard.base import Guard
from fedleak.metrics.base import Metric
from fedleak.models.base import Model
from fedleak.partition.base import Partition
from fedleak.postprocess.base import PostProcess
from fedleak.schedule.base import Schedule
from fedleak.shift.base import Shift
from fedleak.staleness.base import Staleness
from fedleak.studies.claims.base import Claim
from fedleak.theory.base import Theory
from fedleak.trackers.base import Tracker

ATTACKS = (Attack, "fedleak.attacks")
LABEL_INFERENCES = (LabelInference, "fedleak.attacks.labels")
AUGMENTATIONS = (Augmentation, "fedleak.augment")
GUARDS = (Guard, "fedleak.guard")
DATASETS = (Dataset, "fedleak.datasets")
METRICS = (Metric, "fedleak.metrics")
ANALYSES = (Analysis, "fedleak.analysis")
MODELS = (Model, "fedleak.models")
PARTITIONS = (Partition, "fedleak.partition")
POST_PROCESSES = (PostProcess, "fedleak.postprocess")
SHIFTS = (Shift, "fedleak.shift")
STALENESS = (Staleness, "fedleak.staleness")
AGGREGATIONS = (Aggregation, "fedleak.aggregation")
SCHEDULES = (Schedule, "fedleak.schedule")
CLAIMS = (Claim, "fedleak.studies.claims")
THEORIES = (Theory, "fedleak.theory")
TRACKERS = (Tracker, "fedleak.trackers")

FAMILIES: dict[str, tuple[type[Any], str]] = {
    "attack": ATTACKS,
    "label_inference": LABEL_INFERENCES,
    "dataset": DATASETS,
    "model": MODELS,
    "partition": PARTITIONS,
    "shift": SHIFTS,
    "schedule": SCHEDULES,
    "staleness": STALENESS,
    "aggregation": AGGREGATIONS,
    "postprocess": POST_PROCESSES,
    "augment": AUGMENTATIONS,
    "guard": GUARDS,
    "metric": METRICS,
    "analysis": ANALYSES,
    "theory": THEORIES,
    "claim": CLAIMS,
    "tracker": TRACKERS,
}


def kinds(family: str) -> dict[str, type[Component]]:
    """Every kind of a family, by name."""
    base, package = FAMILIES[family]
    return discover(base, package)
