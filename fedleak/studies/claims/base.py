"""Base class of claims: a statement, and the checks that decide it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from scipy import stats

from fedleak.component import Component
from fedleak.records import Record
from fedleak.results.estimates import ALPHA, FEWEST_IMAGES, FEWEST_UNITS, Estimate, Floats, student_quantile
from fedleak.studies.matrix import Label
from fedleak.studies.measurements import ROUND, AttackPlace, Measurements

Where = dict[str, Label]
"""Axes (in full or by the last parts of their path) and ``attack`` -> label."""
VerdictState = Literal["reproduced", "not_reproduced", "inconclusive", "nothing_leaked"]
DECIDED = ("reproduced", "not_reproduced")


class ClaimCheck(Record):
    """One comparison: the claim holds if ``value`` is above zero.

    Attributes:
        label: what is compared.
        value: the estimate, with its 95 % interval.
        p: two-sided p-value of a value of zero; None without an interval.
        hint: what would decide it, if the interval does not.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    state: VerdictState
    hint: str = ""


class ClaimVerdict(Record):
    """The outcome of a claim with its checks.

    Attributes:
        p: p-value of the outcome, the largest of the checks that it rests on; None if it is not decided.
        adjusted_p: the same after Holm's correction for the number of claims of the study.
    """

    kind: str
    statement: str
    state: VerdictState
    checks: tuple[ClaimCheck, ...]
    p: float | None = None
    adjusted_p: float | None = None
    reason: str = ""
    """Why a claim that its checks decide is inconclusive all the same."""

    @property
    def hints(self) -> tuple[str, ...]:
        """Hints what would decide a claim that is not decided."""
        if self.state in DECIDED:
            return ()
        hints = (self.reason, *(check.hint for check in self.checks))
        return tuple(dict.fromkeys(hint for hint in hints if hint))


class Claim(Component):
    """Base class of claims: a statement that must hold in every case, at every point of the axes it does not name."""

    says: str = ""
    """The claim in words; derived from the settings by default."""
    where: Where = {}
    """Restricts the claim to these attacks and points."""
    control: Where = {}
    """Positive control: the attack and point where something must leak, or the claim is not judged, such as the
    undefended cell of a claim about a defense. What it does not name is as on the sides of the claim, which are the
    control by default."""

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
        return {"where": self.where, "control": self.control}

    def measures(self) -> Mapping[str, str]:
        """Field -> the metric that it names."""
        return {}

    def axis_values(self) -> Sequence[Label]:
        """The values of ``axis`` that it names."""
        return ()

    def compared(self) -> Mapping[str, tuple[Where, ...]]:
        """Field -> what selects its attacks and points; later selections replace labels of earlier ones."""
        return {"where": (self.where,), **self.controlled(self.where)}

    def controlled(self, *side: Where) -> dict[str, tuple[Where, ...]]:
        """The part of ``compared`` for the positive control of a side; empty without one."""
        return {"control": (*side, self.control)} if self.control else {}

    def speaks_of_rounds(self) -> bool:
        """Whether it uses the axis ``round``."""
        return ROUND in {self.axis(), *(name for where in self.selections().values() for name in where)}

    def gated(
        self, check: ClaimCheck, measured: Measurements, metric: str, places: Sequence[AttackPlace]
    ) -> ClaimCheck:
        """The check if something leaked at its positive control or, without one, a side of it; else ``nothing_leaked``.

        A claim about leakage says nothing where no side rebuilds more than an adversary without updates would guess,
        and a claim that a defense stops an attack says nothing where the attack fails without it, too.

        Args:
            metric: the metric that is compared; others than scores of reconstructions are not gated.
            places: the sides of the comparison.
        """
        if check.p is None or not measured.is_score(metric):  # there is nothing to judge, or nothing that could leak
            return check
        gates = [g for place in self._controls(measured, places) if (g := measured.gate(place, metric)) is not None]
        if any(gate.leaks for gate in gates):
            return check
        if not gates:
            hint = "a baseline to beat: give the adversary public images (adversary.public_images)"
            hint = f"{metric} at the positive control ({where_text(self.control)})" if self.control else hint
            return check.model_copy(update={"state": "inconclusive", "hint": hint})
        what = "the positive control does not beat" if self.control else "no side beats"
        hint = f"{what} the best baseline: {gates[0].describe()}; a stronger attack or a weaker setting"
        return check.model_copy(update={"state": "nothing_leaked", "hint": hint})

    def _controls(self, measured: Measurements, places: Sequence[AttackPlace]) -> Sequence[AttackPlace]:
        if not self.control:
            return places
        control = measured.resolved(self.control)
        wanted = dict.fromkeys(AttackPlace(tuple({**place.by_name, **control}.items())) for place in places)
        return [found for place in wanted if (found := measured.find(place)) is not None]

    def judge(self, measured: Measurements) -> ClaimVerdict:
        """The verdict on this claim alone; ``correct`` takes the other claims of the study into account."""
        seen = measured.by_round() if self.speaks_of_rounds() else measured
        checks = self.check(seen) or [missing("no finished cell matches", self.kind)]
        state = worst(checks)
        return ClaimVerdict(
            kind=self.kind,
            statement=self.says or self.statement(),
            state=state,
            checks=tuple(checks),
            p=_p_value(state, checks),
        )


def worst(checks: Iterable[ClaimCheck]) -> VerdictState:
    """The state of a claim with these checks.

    One check that is not reproduced refutes it. It is reproduced if every check is, and nothing leaked if that is so of
    every check.
    """
    states = {check.state for check in checks}
    if "not_reproduced" in states:
        return "not_reproduced"
    return states.pop() if len(states) == 1 else "inconclusive"


def _p_value(state: VerdictState, checks: Sequence[ClaimCheck]) -> float | None:
    """All checks must hold, so a reproduced claim is as certain as its least certain check (Berger 1982).

    One check refutes a claim, so the smallest p-value counts, times the number of checks (Bonferroni).
    """
    found = [check.p for check in checks if check.state == state and check.p is not None]
    if state not in DECIDED or not found:
        return None
    return max(found) if state == "reproduced" else min(1.0, min(found) * len(checks))


def correct(verdicts: Sequence[ClaimVerdict]) -> tuple[ClaimVerdict, ...]:
    """Holm's correction: decided claims whose p-value is too large among so many claims become inconclusive.

    Holm 1979, "A simple sequentially rejective multiple test procedure". Every claim with checks that could be decided
    counts, also the undecided ones.
    """
    family = [v for v in verdicts if any(check.p is not None for check in v.checks)]
    ranked = sorted((v.p, i) for i, v in enumerate(verdicts) if v.p is not None)
    adjusted: dict[int, float] = {}
    largest = 0.0
    for rank, (p, i) in enumerate(ranked):
        largest = max(largest, min(1.0, p * (len(family) - rank)))
        adjusted[i] = largest
    return tuple(_corrected(v, adjusted.get(i), len(family)) for i, v in enumerate(verdicts))


def _corrected(verdict: ClaimVerdict, adjusted: float | None, claims: int) -> ClaimVerdict:
    if adjusted is None:
        return verdict
    if adjusted < ALPHA:
        return verdict.model_copy(update={"adjusted_p": adjusted})
    reason = (
        f"alone it would be {verdict.state.replace('_', ' ')} (p = {verdict.p:.2g}); among {claims} claims of a study "
        f"p is {adjusted:.2g} (Holm), so more seeds or images are needed"
    )
    return verdict.model_copy(update={"state": "inconclusive", "adjusted_p": adjusted, "reason": reason})


def missing(reason: str, label: str) -> ClaimCheck:
    """A check without values, inconclusive for ``reason``."""
    return ClaimCheck(label=label, value=None, state="inconclusive", hint=reason)


def above_zero(label: str, value: float, draws: Floats | None, units: int) -> ClaimCheck:
    """Check that the interval of ``value`` is above zero.

    Args:
        draws: draws of the value; None if a side of it has no interval.
        units: independent units behind the draws, for Student's t.
    """
    if draws is None:
        hint = f"{FEWEST_IMAGES} images in {FEWEST_UNITS} updates or seeds: with fewer there is no interval"
        return ClaimCheck(label=label, value=value, state="inconclusive", hint=hint)
    error = float(draws.std())
    reach = student_quantile(units) * error
    low, high = value - reach, value + reach
    p = _two_sided(value, error, units)
    if low > 0:
        return ClaimCheck(label=label, value=value, low=low, high=high, p=p, state="reproduced")
    if high < 0:
        return ClaimCheck(label=label, value=value, low=low, high=high, p=p, state="not_reproduced")
    hint = _what_would_decide(value, low, high)
    return ClaimCheck(label=label, value=value, low=low, high=high, p=p, state="inconclusive", hint=hint)


def _two_sided(value: float, error: float, units: int) -> float:
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.t.sf(abs(value) / error, units - 1))


def together(*sides: Estimate) -> tuple[list[Floats] | None, int]:
    """Draws of several means, None if one has no interval, and the number of units behind the least certain."""
    draws = [side.draws for side in sides if side.draws is not None]
    return (draws if len(draws) == len(sides) else None), min(side.units for side in sides)


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
