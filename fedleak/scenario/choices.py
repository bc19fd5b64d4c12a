"""The fields of a scenario that hold a component: one annotation for each family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field

from fedleak import families, limits
from fedleak.component import choice
from fedleak.metrics.base import metric_settings

if TYPE_CHECKING:
    from fedleak.attacks.base import Attack
    from fedleak.attacks.labels.base import LabelInference
    from fedleak.client.augment.base import Augmentation
    from fedleak.client.guard.base import Guard
    from fedleak.client.optimizer.base import LocalOptimizer
    from fedleak.client.postprocess.base import PostProcess
    from fedleak.data.partition.base import Partition
    from fedleak.data.shift.base import Shift
    from fedleak.data.sources.base import Dataset
    from fedleak.metrics.analysis.base import Analysis
    from fedleak.metrics.base import MetricSettings
    from fedleak.metrics.theory.base import Theory
    from fedleak.models.base import Model
    from fedleak.server.aggregation.base import Aggregation
    from fedleak.server.crafting.base import Crafting
    from fedleak.server.staleness.base import Staleness
    from fedleak.server.strategy.base import ServerStrategy
    from fedleak.tasks.base import LearningTask

    AttackChoice: TypeAlias = Attack
    LabelChoice: TypeAlias = LabelInference
    AugmentationChoice: TypeAlias = Augmentation
    GuardChoice: TypeAlias = Guard
    PostProcessChoice: TypeAlias = PostProcess
    PartitionChoice: TypeAlias = Partition
    ShiftChoice: TypeAlias = Shift
    DatasetChoice: TypeAlias = Dataset
    AnalysisChoice: TypeAlias = Analysis
    MetricsChoice: TypeAlias = MetricSettings
    TheoryChoice: TypeAlias = Theory
    AggregationChoice: TypeAlias = Aggregation
    CraftingChoice: TypeAlias = Crafting
    StalenessChoice: TypeAlias = Staleness
    ModelChoice: TypeAlias = Model
    OptimizerChoice: TypeAlias = LocalOptimizer
    StrategyChoice: TypeAlias = ServerStrategy
    TaskChoice: TypeAlias = LearningTask
else:
    MetricsChoice = metric_settings(families.kinds("metric"))
    AggregationChoice = choice(*families.AGGREGATIONS)
    CraftingChoice = choice(*families.CRAFTINGS)
    AnalysisChoice = choice(*families.ANALYSES)
    AttackChoice = choice(*families.ATTACKS)
    AugmentationChoice = choice(*families.AUGMENTATIONS)
    LabelChoice = choice(*families.LABEL_INFERENCES)
    DatasetChoice = choice(*families.DATASETS)
    GuardChoice = choice(*families.GUARDS)
    ModelChoice = choice(*families.MODELS)
    OptimizerChoice = choice(*families.LOCAL_OPTIMIZERS)
    StrategyChoice = choice(*families.SERVER_STRATEGIES)
    PartitionChoice = choice(*families.PARTITIONS)
    PostProcessChoice = choice(*families.POST_PROCESSES)
    ShiftChoice = choice(*families.SHIFTS)
    StalenessChoice = choice(*families.STALENESS)
    TaskChoice = choice(*families.TASKS)
    TheoryChoice = choice(*families.THEORIES)

ClientIndex = Annotated[int, Field(ge=0, lt=limits.CLIENTS)]
RoundNumber = Annotated[int, Field(ge=1, le=limits.ROUNDS)]
