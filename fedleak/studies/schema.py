"""Schema of the keys that a study file adds to its scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from fedleak import limits
from fedleak.attacks.base import Slug
from fedleak.component import Settings, choice
from fedleak.studies.claims.base import Claim, Where

if TYPE_CHECKING:
    ClaimChoice: TypeAlias = Claim
else:
    ClaimChoice = choice(Claim, "fedleak.studies.claims")


class PublishedValue(Settings):
    """One number of a paper."""

    metric: str
    """Metric of the value, as fedleak names it."""
    value: float
    """The published mean, in the metric's unit."""
    where: Where = {}
    """Axes and ``attack`` that it is compared with."""


class Published(Settings):
    """The published numbers that a study reproduces."""

    source: str = ""
    """The paper, with the table or figure."""
    setting: str = ""
    """The setting in which they were measured, if it differs from the study's."""
    values: tuple[PublishedValue, ...] = ()


class FigureSettings(Settings):
    """One metric along one axis, with a line per attack and point of the other axes."""

    metric: str = "mse"
    """The metric on the vertical axis."""
    beside: tuple[str, ...] = ()
    """More metrics, each in a separate chart."""
    along: str
    """An axis, in full or by the last parts of its path, or ``round``."""
    logarithmic: bool = False
    """Whether the metric's axis is logarithmic."""


class TableSettings(Settings):
    """The metrics of the table."""

    metrics: tuple[str, ...] = Field(default=("mse", "psnr", "lpips"), min_length=1)
    """Metrics, one column each."""
    baselines: bool = True
    """Whether the rows of the baselines are shown."""


class Resources(Settings):
    """Resources of one cell; as many cells run at once as fit."""

    cpus: float = Field(default=1, gt=0, le=limits.CPUS)
    """CPU cores of a cell."""
    gpus: float = Field(default=0, ge=0, le=limits.CPUS)
    """GPUs of a cell; a share such as 0.25 lets four cells use one."""
    memory_gib: float = Field(default=1.0, gt=0, le=limits.MEMORY_GIB)
    """Peak memory of a cell in GiB, for scheduling; it is not enforced."""


class StudySettings(Settings):
    """The part of a study file that is not the scenario."""

    matrix: dict[str, Any] = {}
    """Scenario path: list of values, or a name: {variant: {path: value}}; ``exclude`` and ``include`` list points."""
    seeds: tuple[Annotated[int, Field(ge=0, le=limits.SEED)], ...] = ()
    """The scenario's seed by default."""
    claims: tuple[ClaimChoice, ...] = ()
    """What the study should show; each claim is judged as reproduced, not reproduced or inconclusive."""
    published: Published = Published()
    figure: FigureSettings | None = None
    """One metric along one axis, with a line per attack and point of the other axes (default: no figure)."""
    table: TableSettings = TableSettings()
    resources: Resources = Resources()
    costs: dict[str, Annotated[float, Field(ge=0, le=limits.MINUTES)]] = {}
    """Budget -> minutes on two CPU cores: an estimate, from a run or from the time of single cells."""


__all__ = ["Published", "PublishedValue", "Resources", "Slug", "StudySettings"]
