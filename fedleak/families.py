"""The families of components that a scenario may name: the base class and package of each."""

from __future__ import annotations

from typing import Any

from fedleak.attacks.base import Attack
from fedleak.attacks.labels.base import LabelInference
from fedleak.client.augment.base import Augmentation
from fedleak.client.guard.base import Guard
from fedleak.client.optimizer.base import LocalOptimizer
from fedleak.client.postprocess.base import PostProcess
from fedleak.client.schedule.base import Schedule
from fedleak.component import Component, discover, find_kind
from fedleak.data.partition.base import Partition
from fedleak.data.shift.base import Shift
from fedleak.data.sources.base import Dataset
from fedleak.metrics.analysis.base import Analysis
from fedleak.metrics.base import Metric
from fedleak.metrics.theory.base import Theory
from fedleak.models.base import Model
from fedleak.server.aggregation.base import Aggregation
from fedleak.server.crafting.base import Crafting
from fedleak.server.staleness.base import Staleness
from fedleak.server.strategy.base import ServerStrategy
from fedleak.tasks.base import LearningTask

ATTACKS = (Attack, "fedleak.attacks")
LABEL_INFERENCES = (LabelInference, "fedleak.attacks.labels")
AUGMENTATIONS = (Augmentation, "fedleak.client.augment")
GUARDS = (Guard, "fedleak.client.guard")
DATASETS = (Dataset, "fedleak.data.sources")
METRICS = (Metric, "fedleak.metrics")
ANALYSES = (Analysis, "fedleak.metrics.analysis")
MODELS = (Model, "fedleak.models")
PARTITIONS = (Partition, "fedleak.data.partition")
LOCAL_OPTIMIZERS = (LocalOptimizer, "fedleak.client.optimizer")
POST_PROCESSES = (PostProcess, "fedleak.client.postprocess")
SHIFTS = (Shift, "fedleak.data.shift")
STALENESS = (Staleness, "fedleak.server.staleness")
AGGREGATIONS = (Aggregation, "fedleak.server.aggregation")
CRAFTINGS = (Crafting, "fedleak.server.crafting")
SERVER_STRATEGIES = (ServerStrategy, "fedleak.server.strategy")
TASKS = (LearningTask, "fedleak.tasks")
SCHEDULES = (Schedule, "fedleak.client.schedule")
THEORIES = (Theory, "fedleak.metrics.theory")

FAMILIES: dict[str, tuple[type[Any], str]] = {
    "attack": ATTACKS,
    "label_inference": LABEL_INFERENCES,
    "dataset": DATASETS,
    "model": MODELS,
    "task": TASKS,
    "partition": PARTITIONS,
    "shift": SHIFTS,
    "schedule": SCHEDULES,
    "local_optimizer": LOCAL_OPTIMIZERS,
    "staleness": STALENESS,
    "aggregation": AGGREGATIONS,
    "server_strategy": SERVER_STRATEGIES,
    "crafting": CRAFTINGS,
    "postprocess": POST_PROCESSES,
    "augment": AUGMENTATIONS,
    "guard": GUARDS,
    "metric": METRICS,
    "analysis": ANALYSES,
    "theory": THEORIES,
}


def kinds(family: str) -> dict[str, type[Component]]:
    """Every kind of a family, by name."""
    base, package = FAMILIES[family]
    return discover(base, package)


def kind_named(family: str, kind: str) -> type[Component] | None:
    """A kind by name: shipped, defined in this session, or of another package; None if there is none.

    Raises:
        InputError: if it is of another package, and broken.
    """
    base, package = FAMILIES[family]
    return find_kind(base, package, kind)
