"""What a run lacks before "no attack beats the baselines" may count as evidence of safety. Torch-free.

The report, the terminal, the doctor and the frontier take these conditions from here, so that they agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeGuard

import numpy as np

from fedleak.records import Record
from fedleak.results.convergence import HELD_OUT, LAST_PART, is_falling
from fedleak.results.estimates import SeedSample, summarise
from fedleak.results.format import count, percent, plural
from fedleak.results.schema import AttackSummary, Interval, Results

FEWEST_SCORED = 16
"""With fewer scored images a result is no evidence of safety."""
UNFINISHED_ONE_IN = 10
"""An attack has not converged if more than one of so many of its searches had not ended."""
MOST_TRIALS = 10**12
"""A test split of more images is none."""
CLEARLY_CLOSER = 10.0
"""A single image leaks if its MSE is this many times below that of the best baseline of the same image ..."""
CLOSE = 0.01
"""... and below this value (20 dB)."""
SECURE_AGGREGATION = "secure_aggregation"
ORACLES = frozenset({"baseline_nearest_class"})
"""Baselines that see the truth: the public image nearest to the original, which no adversary without updates can pick.
To beat them is convincing, but an attack that beats the others only leaks all the same."""

ShortcomingKind = Literal[
    "not_converged",
    "reduced_budget",
    "no_adaptive_attacker",
    "not_learned",
    "few_images",
    "failures",
    "single_leaks",
    "nothing_leaks",
]
TITLES: Mapping[ShortcomingKind, str] = {
    "not_converged": "not converged",
    "reduced_budget": "weaker than the attack's default budget",
    "no_adaptive_attacker": "no adaptive attacker",
    "not_learned": "model has not learned",
    "few_images": "too few images",
    "failures": "attack failed on some updates",
    "single_leaks": "some images leak",
    "nothing_leaks": "no undefended attack that works",
}
REASONS: Mapping[ShortcomingKind, str] = {
    "not_converged": "with more iterations or epochs the attack may rebuild more",
    "reduced_budget": "the attack of the paper searches or trains longer and may rebuild more",
    "no_adaptive_attacker": "an attacker who knows what the clients do to their updates may undo it",
    "not_learned": "what leaks from a model that has not learned says little of one that is of use",
    "few_images": "so few images do not tell a leak from chance",
    "failures": "the images that it did not rebuild are left out of the scores",
    "single_leaks": "a mean over images hides that a few of them are rebuilt",
    "nothing_leaks": "where nothing leaks without a defense, a defense cannot be seen to help",
}
REMEDIES: Mapping[ShortcomingKind, str] = {
    "not_converged": "raise the iterations (or training.epochs) of these attacks until the curve is flat",
    "reduced_budget": "use the defaults of these settings, or more",
    "no_adaptive_attacker": "add an attack with 'adaptive: true', or one that is trained on the clients' own pairs",
    "not_learned": "train for more rounds, on more data or with another learning rate, and attack later rounds",
    "few_images": f"attack more clients, rounds or images: at least {FEWEST_SCORED} images from several updates",
    "failures": "mend the reason (report, section Notes and failures), then run the attack stage again",
    "single_leaks": "look at the best pictures of these attacks, and attack more images",
    "nothing_leaks": "add a setting without defenses, and attacks that beat the baselines there",
}


class Shortcoming(Record):
    """One condition that a result does not meet."""

    kind: ShortcomingKind
    what: str
    """What was found, without a full stop."""

    @property
    def title(self) -> str:
        """The condition in a few words, such as ``not converged``."""
        return TITLES[self.kind]

    @property
    def why(self) -> str:
        """Why it matters."""
        return REASONS[self.kind]

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDIES[self.kind]


def judge(results: Results) -> tuple[Shortcoming, ...]:
    """All conditions that the results of a run do not meet; none if a lack of leakage is evidence of safety."""
    attacks = [s for s in results.attacks if not s.is_baseline and not s.is_theory]
    found = {
        "not_converged": "; ".join(text for s in attacks for text in _unfinished(s)),
        "reduced_budget": "; ".join(text for s in attacks for text in _reductions(s)),
        "no_adaptive_attacker": _not_adapting(results, attacks),
        "not_learned": _of_last_round(results),
        "few_images": "; ".join(_few(results, attacks)),
        "failures": "; ".join(_failed(s) for s in attacks if s.failures),
        "single_leaks": "; ".join(single_leaks(results).values()),
    }
    return tuple(Shortcoming.model_validate({"kind": kind, "what": what}) for kind, what in found.items() if what)


def _unfinished(summary: AttackSummary) -> Iterator[str]:
    matching, held_out = summary.matching, summary.curves.get(HELD_OUT, [])
    if matching is not None and UNFINISHED_ONE_IN * matching.unfinished > matching.updates:
        yield (
            f"the matching loss of {summary.attack} was still falling, or had not left its start, on "
            f"{matching.unfinished} of {plural(matching.updates, 'update')} after "
            f"{plural(matching.iterations, 'iteration')} (by {percent(matching.late_fall)} over the last tenth)"
        )
    if held_out and is_falling(held_out, short=bool(summary.reduced)):
        yield (
            f"the held-out error of {summary.attack} was still falling at the end of its "
            f"{plural(len(held_out), 'epoch')}, over the last {percent(LAST_PART)} of them"
        )


def _reductions(summary: AttackSummary) -> Iterator[str]:
    for reduced in summary.reduced:
        yield f"{summary.attack} has {reduced.setting} {count(reduced.value)}, by default {count(reduced.default)}"


def _failed(summary: AttackSummary) -> str:
    return f"{summary.attack} failed on {plural(summary.failures, 'update')}"


def _few(results: Results, attacks: Sequence[AttackSummary]) -> Iterator[str]:
    if not any(s.images for s in attacks):
        yield "no attack has rebuilt an image that could be scored"
        return
    for summary in attacks:
        if summary.images and summary.images < FEWEST_SCORED:
            yield f"{summary.attack} has {plural(summary.images, 'scored image')}, fewer than {FEWEST_SCORED}"
        elif summary.images and lacks_interval(summary.metrics.get("mse")):
            yield f"the mean of {summary.attack} has no interval"
    for summary in results.attacks:
        if (
            summary.is_baseline
            and not summary.is_theory
            and summary.images
            and lacks_interval(summary.metrics.get("mse"))
        ):
            yield f"the mean of {summary.attack} has no interval"


def single_leaks(results: Results) -> dict[str, str]:
    """Attacks that rebuild single images far better than any baseline does, whatever their mean, with how many."""
    blind = {s.attack for s in results.attacks if s.is_baseline and not s.is_theory and s.attack not in ORACLES}
    guessed: dict[tuple[int, int, int | None], float] = {}
    for row in results.rows:
        mse = row.metrics.get("mse")
        if row.attack in blind and mse is not None:
            place = row.victim, row.round, row.image
            guessed[place] = min(mse, guessed.get(place, mse))
    close: dict[str, int] = {s.attack: 0 for s in results.attacks if not s.is_baseline and not s.is_theory}
    for row in results.rows:
        mse, best = row.metrics.get("mse"), guessed.get((row.victim, row.round, row.image))
        if row.attack in close and mse is not None and best is not None:
            close[row.attack] += mse < CLOSE and CLEARLY_CLOSER * mse < best
    images = {s.attack: plural(s.images, "image") for s in results.attacks}
    return {
        attack: f"{attack} rebuilds {number} of {images[attack]} with an MSE more than {CLEARLY_CLOSER:.0f} times "
        "below that of every baseline"
        for attack, number in close.items()
        if number
    }


def lacks_interval(interval: Interval | None) -> bool:
    """Whether a mean is absent or has no bounds."""
    return interval is None or interval.low is None or interval.high is None


def _not_adapting(results: Results, attacks: Sequence[AttackSummary]) -> str:
    found = to_adapt_to(defenses(results.scenario))
    if not found or any(s.adaptive and s.images for s in attacks):
        return ""
    return f"the clients use {', '.join(found)}, and no attack that ran adapts to it"


def _block(settings: object, name: str) -> object:
    return settings.get(name) if isinstance(settings, Mapping) else None


def defenses(scenario: Mapping[str, object]) -> tuple[str, ...]:
    """Names of what the clients of a resolved scenario do to their images and updates before they share them."""
    federation = _block(scenario, "federation")
    client = _block(federation, "client")
    chains = (_block(client, "postprocess"), _block(client, "augment"))
    steps = [step for chain in chains if isinstance(chain, list | tuple) for step in chain]
    names = [str(_block(step, "kind") if isinstance(step, Mapping) else step) for step in steps]
    names += [] if _block(client, "dp_sgd") is None else ["dp_sgd"]
    names += ["dropout"] if _block(client, "dropout") is True else []  # an attack that lacks the mask rebuilds less
    names += [name for name in ("client_level_dp", SECURE_AGGREGATION) if _block(federation, name) is not None]
    return tuple(dict.fromkeys(names))


def to_adapt_to(names: Sequence[str]) -> tuple[str, ...]:
    """The defenses that an attack has to adapt to: all but secure aggregation, whose sums every attack is given."""
    return tuple(name for name in names if name != SECURE_AGGREGATION)


def _of_last_round(results: Results) -> str:
    last = results.federation[-1] if results.federation else None
    return not_learned([last.accuracy] if last else [], last.test_images if last else None, results.chance)


def is_split(test_images: int | None) -> TypeGuard[int]:
    """Whether it is a possible number of test images."""
    return test_images is not None and 1 <= test_images <= MOST_TRIALS


def accuracy_interval(accuracies: Sequence[float], test_images: int | None) -> Interval | None:
    """Mean test accuracy over seeds with its interval; None without accuracies in [0, 1] and a test split.

    Args:
        accuracies: one for each seed.
        test_images: size of the test split.
    """
    known = [rate for rate in accuracies if 0 <= rate <= 1] if is_split(test_images) else []
    summary = summarise([SeedSample(i, "", np.array([a]), trials=test_images) for i, a in enumerate(known)])
    return summary.interval if summary is not None else None


def not_learned(accuracies: Sequence[float], test_images: int | None, chance: float | None) -> str:
    """Why a model is not known to have learned; empty if its accuracy is above chance by its interval.

    Args:
        accuracies: final test accuracies, in [0, 1], one for each seed.
        test_images: size of the test split.
        chance: accuracy of the best constant answer, in [0, 1].
    """
    level = math.nan if chance is None else chance
    if not accuracies or not is_split(test_images) or not all(0 <= rate <= 1 for rate in (*accuracies, level)):
        return "it is not recorded what accuracy the model has, on how many test images, and what chance would give"
    interval = accuracy_interval(accuracies, test_images)
    if interval is not None and interval.low is not None and interval.low > level:
        return ""
    bounds = "" if interval is None or interval.low is None else f" [{percent(interval.low)}, {percent(interval.high)}]"
    mean = sum(accuracies) / len(accuracies)
    return (
        f"the model has an accuracy of {percent(mean)}{bounds} on {plural(test_images, 'test image')}, which is not "
        f"above the {percent(level)} of chance"
    )
