"""The settings of a study with their accuracy, leakage and bandwidth, as ``frontier.json`` holds them. Torch-free."""

from __future__ import annotations

from fedleak.records import Record
from fedleak.results.judgement import Shortcoming
from fedleak.results.schema import Interval
from fedleak.studies.measurements import Gate
from fedleak.studies.records import PrivacySpent


class SeedRange(Record):
    """A mean over seeds, with the lowest and highest value."""

    mean: float
    low: float
    high: float


class Leak(Record):
    """Leakage by the strongest attack, averaged over images and seeds."""

    attack: str
    interval: Interval
    adaptive: bool | None = None
    """Whether the attack takes the clients' post-processing into account; None if the records do not say."""
    images: int = 0
    """Number of scored images, over all seeds."""


class Setting(Record):
    """One setting of the clients."""

    number: int
    """From 1, in the order of the study."""
    name: str
    seeds: int
    images: int = 0
    """Number of victims' images; those that several seeds share count once."""
    accuracy: SeedRange | None
    accuracy_interval: Interval | None = None
    """Of the mean accuracy: over seeds, or binomial over the test images."""
    not_learned: str = ""
    """Why its model is not known to have learned; empty if its accuracy is above chance."""
    defenses: tuple[str, ...] | None = None
    """What its clients do before they share; empty for the undefended setting, None for older records."""
    doubts: tuple[Shortcoming, ...] = ()
    """What the runs behind it lack, as in their own reports."""
    bytes_per_round: float | None
    privacy: PrivacySpent | None = None
    """Of the least private seed; None without differential privacy."""
    leaks: dict[str, Leak]
    """Metric -> the strongest attack by it."""
    unaware: dict[str, Leak] = {}
    """Metric -> the strongest non-adaptive attack by it; empty if all attacks adapt."""
    aware: dict[str, Leak] = {}
    """Metric -> the strongest adaptive attack by it."""
    gates: dict[str, Gate] = {}
    """Metric -> the attack that is clearest ahead of the baselines; empty without baselines."""
    attacks: dict[str, tuple[Gate, ...]] = {}
    """Metric -> every attack against the baselines, the one that rebuilds most first."""
    cells: tuple[str, ...] = ()
    """Keys of its cells."""
    dominated_by: int | None = None
    """Number of a setting that dominates it; None on the frontier, or if a value is absent."""

    def measures(self, metric: str) -> tuple[float, float, float] | None:
        """Accuracy, leakage by ``metric`` and bytes; None if one was not measured."""
        leak = self.leaks.get(metric)
        if self.accuracy is None or leak is None or self.bytes_per_round is None:
            return None
        return self.accuracy.mean, leak.interval.mean, self.bytes_per_round


class Case(Record):
    """The settings for one model, data set or other point of the remaining axes."""

    name: str
    settings: tuple[Setting, ...]
    recommended: int | None = None
    """The candidate, if no evidence is lacking."""
    candidate: int | None = None
    """Number of the setting that leaks least, by the means, at an acceptable accuracy loss."""
    lacking: tuple[Shortcoming, ...] = ()
    """What is missing for a recommendation."""
    most_accurate: int | None = None
    missing: int = 0
    """Number of settings with unmeasured values."""


class Frontier(Record):
    """Content of ``frontier.json``."""

    format: str = "fedleak-frontier"
    version: int = 1
    study: str
    metric: str
    """The leakage metric."""
    metrics: tuple[str, ...]
    """All measured metrics, the leakage metric first."""
    higher_leaks_more: tuple[str, ...]
    accuracy_loss: float
    cases: tuple[Case, ...]
