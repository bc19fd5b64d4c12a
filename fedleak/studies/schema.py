"""What a study file says beside its scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import Field

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
    value: float
    where: Where = {}
    """Axes and ``attack``: what it is to be compared with."""


class Published(Settings):
    """The numbers that a study re-runs."""

    source: str = ""
    setting: str = ""
    """In which setting they were measured, where that differs from the study's."""
    values: tuple[PublishedValue, ...] = ()


class FigureSettings(Settings):
    """One metric along one axis, a line for each attack and each point of the other axes."""

    metric: str = "mse"
    beside: tuple[str, ...] = ()
    """Further metrics, each in a chart of its own."""
    along: str
    """An axis, in full or by the last parts of its path, or ``round``."""
    logarithmic: bool = False
    """The metric's axis."""


class TableSettings(Settings):
    """Which metrics the table shows."""

    metrics: tuple[str, ...] = Field(default=("mse", "psnr"), min_length=1)
    baselines: bool = True


class Resources(Settings):
    """What one cell may use; as many run at a time as fit."""

    cpus: float = Field(default=1, gt=0)
    gpus: float = Field(default=0, ge=0)
    memory_gib: float = Field(default=1.0, gt=0)
    """Peak memory of a cell, for packing; nothing holds a cell to it."""


class StudySettings(Settings):
    """The part of a study file that is no scenario."""

    matrix: dict[str, Any] = {}
    """Scenario path: list of values, or a name: {variant: {path: value}}; ``exclude`` and ``include`` list points."""
    seeds: tuple[int, ...] = ()
    """The scenario's seed unless given."""
    claims: tuple[ClaimChoice, ...] = ()
    published: Published = Published()
    figure: FigureSettings | None = None
    table: TableSettings = TableSettings()
    resources: Resources = Resources()
    costs: dict[str, float] = {}
    """Budget -> minutes on two CPU cores: an estimate, from a run or from the time of single cells."""


__all__ = ["Published", "PublishedValue", "Resources", "Slug", "StudySettings"]
