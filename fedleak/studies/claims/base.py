"""Base class of claims: a statement, and the checks that decide it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from fedleak.component import Component
from fedleak.records import Record
from fedleak.studies.bootstrap import Floats, limits
from fedleak.studies.matrix import Label
from fedleak.studies.measurements import ROUND, Measurements

Where = dict[str, Label]
"""Axes (in full or by the last parts of their path) and ``attack`` -> label."""
VerdictState = Literal["reproduced", "not_reproduced", "inconclusive"]


class ClaimCheck(Record):
    """One comparison: the claim holds if ``value`` is above zero.

    Attributes:
        label: what is compared.
        value: the estimate, with its 95 % interval.
        hint: what would decide it, if the interval does not.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    state: VerdictState
    hint: str = ""


class ClaimVerdict(Record):
    """The outcome of a claim with its checks."""

    kind: str
    statement: str
    state: VerdictState
    checks: tuple[ClaimCheck, ...]

    @property
    def hints(self) -> tuple[str, ...]:
        """Hints what would decide an inconclusive claim."""
        if self.state != "inconclusive":
            return ()
        return tuple(dict.fromkeys(check.hint for check in self.checks if check.hint))


class Claim(Component):
    """Base class of claims: a statement that must hold in every case, at every point of the axes it does not name."""

    says: str = ""
    """The claim in words; derived from the settings by default."""
    where: Where = {}
    """Restricts the claim to these attacks and points."""

    @abstractmethod
    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """Check every case."""

    @abstractmethod
    def statement(self) -> str:
        """The claim in words."""

    def axis(self) -> str | None:
        """The axis along which values are compared, if any."""
        return None

    def selections(self) -> Mapping[str, Where]:
        """The fields that select attacks and points."""
        return {"where": self.where}

    def measures(self) -> Mapping[str, str]:
        """Field -> the metric that it names."""
        return {}

    def axis_values(self) -> Sequence[Label]:
        """The values of ``axis`` that it names."""
        return ()

    def compared(self) -> Mapping[str, tuple[Where, ...]]:
        """Field -> what selects its attacks and points; later selections replace labels of earlier ones."""
        return {"where": (self.where,)}

    def speaks_of_rounds(self) -> bool:
        """Whether it uses the axis ``round``."""
        return ROUND in {self.axis(), *(name for where in self.selections().values() for name in where)}

    def judge(self, measured: Measurements) -> ClaimVerdict:
        """Reproduced if every check is; not reproduced if any check is not; else inconclusive."""
        seen = measured.by_round() if self.speaks_of_rounds() else measured
        checks = self.check(seen) or [missing("no finished cell matches", self.kind)]
        return ClaimVerdict(
            kind=self.kind, statement=self.says or self.statement(), state=worst(checks), checks=tuple(checks)
        )


def worst(checks: Iterable[ClaimCheck]) -> VerdictState:
    """The state of a claim with these checks."""
    states = {check.state for check in checks}
    if "not_reproduced" in states:
        return "not_reproduced"
    return "inconclusive" if "inconclusive" in states or not states else "reproduced"


def missing(reason: str, label: str) -> ClaimCheck:
    """A check without values, inconclusive for ``reason``."""
    return ClaimCheck(label=label, value=None, state="inconclusive", hint=reason)


def above_zero(label: str, value: float, draws: Floats | None) -> ClaimCheck:
    """Check that the interval of ``value`` is above zero; ``draws`` is None if there are too few images for one."""
    if draws is None:
        hint = "a second image or seed: a single one has no interval"
        return ClaimCheck(label=label, value=value, state="inconclusive", hint=hint)
    low, high = limits(draws)
    if low > 0:
        return ClaimCheck(label=label, value=value, low=low, high=high, state="reproduced")
    if high < 0:
        return ClaimCheck(label=label, value=value, low=low, high=high, state="not_reproduced")
    hint = _what_would_decide(value, low, high)
    return ClaimCheck(label=label, value=value, low=low, high=high, state="inconclusive", hint=hint)


def _what_would_decide(value: float, low: float, high: float) -> str:
    """A hint, given that intervals shrink with the square root of the number of images or seeds."""
    reach = value - low if value > 0 else high - value
    if value == 0 or reach <= 0:
        return "no difference was measured; a larger effect, by a wider range of the axis, would decide it"
    times = (reach / abs(value)) ** 2
    way = "for" if value > 0 else "against"
    if times > 1000:
        return f"the difference is far inside its interval ({way} the claim); more images will hardly decide it"
    more = max(2, math.ceil(times))
    return f"about {more} times as many images or seeds, if the difference stays; it is evidence {way} the claim"


def where_text(where: Mapping[str, Label]) -> str:
    """``lti, pairs 100``."""
    return ", ".join(str(label) if name == "attack" else f"{name} {label}" for name, label in where.items())
