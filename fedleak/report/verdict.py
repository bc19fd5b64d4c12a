"""The verdict of a run in one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fedleak.report.marks import display_name
from fedleak.results.format import fixed, interval_range, metric_value, plural, ratio
from fedleak.results.judgement import FEWEST_SCORED, ORACLES, Shortcoming, judge
from fedleak.results.schema import AttackSummary, Interval, Results


@dataclass(frozen=True)
class RunVerdict:
    """A sentence ``subject predicate``, its caveats, and the attack that it is about.

    ``holds``, shown in green, needs that no attack beats the baselines and that nothing is ``missing``.
    """

    tone: Literal["leaks", "unclear", "holds"]
    subject: str
    predicate: str
    caveats: tuple[str, ...] = ()
    strongest: AttackSummary | None = None
    missing: tuple[Shortcoming, ...] = ()
    """What the run would need before a lack of leakage counts; empty where it leaks."""

    @property
    def sentence(self) -> str:
        """Subject and predicate."""
        return f"{self.subject} {self.predicate}"

    @property
    def lines(self) -> tuple[str, ...]:
        """The sentence and, in a second line, what is missing in a few words."""
        titles = "; ".join(each.title for each in self.missing)
        return (self.sentence, f"missing: {titles}") if titles else (self.sentence,)


def decide(results: Results) -> RunVerdict:
    """Compare the attack of lowest mean MSE with the best baseline, and judge whether the run can show safety."""
    verdict = _against_baselines(results.attacks)
    missing = judge(results)
    if verdict.tone == "leaks" or not missing:
        return verdict
    if verdict.tone == "unclear":
        return replace(verdict, missing=missing)
    predicate = f"no attack {verdict.predicate} This is no evidence of safety:"
    return replace(verdict, tone="unclear", subject="Unclear:", predicate=predicate, caveats=(), missing=missing)


def _against_baselines(summaries: tuple[AttackSummary, ...]) -> RunVerdict:
    attack = lowest_mse(s for s in summaries if not s.is_baseline)
    baseline = lowest_mse(s for s in summaries if s.is_baseline and not s.is_theory)
    if attack is None:
        failures = sum(s.failures for s in summaries if not s.is_baseline)
        ending = f"; {plural(failures, 'reconstruction')} failed" if failures else ""
        rebuilt = sum(s.unscored for s in summaries)
        if rebuilt:
            what = f"{plural(rebuilt, 'image')} rebuilt, and no ground truth to score against{ending}"
            return RunVerdict("unclear", "Not scored:", f"{what}; look at the pictures.")
        return RunVerdict("unclear", "No attack", f"has rebuilt an image that could be scored{ending}.")
    if baseline is None:
        predicate = f"rebuilds victims' images at {_level(attack)}; there is no baseline to compare it with."
        return RunVerdict("unclear", attack.attack, predicate, _caveats(attack), attack)
    guess = lowest_mse(s for s in summaries if s.is_baseline and not s.is_theory and s.attack not in ORACLES)
    return _compare(attack, baseline, guess)


def lowest_mse(summaries: Iterable[AttackSummary]) -> AttackSummary | None:
    """The summary with the lowest mean MSE; None if no image was scored."""
    scored = [s for s in summaries if s.images and "mse" in s.metrics and math.isfinite(s.metrics["mse"].mean)]
    return min(scored, key=lambda s: s.metrics["mse"].mean, default=None)


def _compare(attack: AttackSummary, baseline: AttackSummary, guess: AttackSummary | None) -> RunVerdict:
    """The verdict on the attack, against the best baseline and the best that does not see the truth."""
    ours, theirs = attack.metrics["mse"], baseline.metrics["mse"]
    blind = f"({display_name(baseline)}, {metric_value('mse', theirs.mean)})"
    if ours.mean >= theirs.mean and guess is not None and ours.mean < guess.metrics["mse"].mean:
        predicate = (
            f"rebuilds victims' images at {_level(attack)}, closer than an adversary without updates can guess "
            f"({display_name(guess)}, {metric_value('mse', guess.metrics['mse'].mean)}), but no closer than the "
            f"nearest of its own images {blind}."
        )
        return RunVerdict("unclear", attack.attack, predicate, _caveats(attack), attack)
    if ours.mean >= theirs.mean:
        closest = f"{attack.attack} comes closest with {_level(attack)}"
        predicate = f"beats the baselines: {closest}, no better than the best of them {blind}."
        return RunVerdict("holds", "No attack", predicate, _caveats(attack), attack)
    if ours.mean == 0:
        predicate = f"copies victims' images exactly; the best baseline {blind} does not."
    else:
        distance = f"{ratio(theirs.mean / ours.mean)} times below the best baseline {blind}"
        predicate = f"rebuilds victims' images at {_level(attack)}, {distance}."
    caveats = _caveats(attack)
    if not _apart(ours, theirs):
        caveats = (
            "The 95 % intervals of the two overlap or are missing: the difference is not established.",
            *caveats,
        )
        return RunVerdict("unclear", attack.attack, predicate, caveats, attack)
    return RunVerdict("leaks", attack.attack, predicate, caveats, attack)


def _apart(ours: Interval, theirs: Interval) -> bool:
    return ours.high is not None and theirs.low is not None and ours.high < theirs.low


def _level(attack: AttackSummary) -> str:
    mse, psnr = attack.metrics["mse"], attack.metrics.get("psnr")
    text = f"MSE {metric_value('mse', mse.mean)} {interval_range('mse', mse)}".rstrip()
    return f"{text} ({fixed(psnr.mean, 1)} dB)" if psnr and math.isfinite(psnr.mean) else text


def _caveats(attack: AttackSummary) -> tuple[str, ...]:
    caveats = []
    if attack.failures:
        caveats.append(f"This leaves out {plural(attack.failures, 'failed reconstruction')} of {attack.attack}.")
    if attack.images < FEWEST_SCORED:
        caveats.append(f"It rests on only {plural(attack.images, 'image')}.")
    return tuple(caveats)
