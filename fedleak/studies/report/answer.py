"""The answer of a study of defenses in three lines: what leaks, to whom, and what the defenses cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fedleak.errors import InputError
from fedleak.report.marks import baseline_title
from fedleak.results.format import (
    fixed,
    interval_range,
    metric_title,
    metric_unit,
    metric_value,
    percent,
    plural,
    privacy_loss,
    significant,
)
from fedleak.results.judgement import single_leaks
from fedleak.results.schema import load_results
from fedleak.results.threat_models import ThreatModel, threat_models
from fedleak.studies.defense_axes import defense_axes
from fedleak.studies.evidence import gate_metric, undefended
from fedleak.studies.measurements import Gate
from fedleak.studies.results import StudyResults
from fedleak.studies.tradeoff import Case, Frontier, Setting

if TYPE_CHECKING:
    from fedleak.studies.directory import StudyDirectory

MOST_CASES = 4
MOST_NAMED = 3
"""Settings named in one line; the table and ``fedleak frontier`` have all of them."""
ALIKE = 0.01
"""Sizes of updates that differ by a smaller share are called the same."""
Tone = Literal["leaks", "unclear", "holds"]


@dataclass(frozen=True)
class Answer:
    """Three lines on one case of a study."""

    case: str
    tone: Tone
    leaks: str
    whom: str
    cost: str

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Title and text of each line."""
        return ("What leaks", self.leaks), ("To whom", self.whom), ("What the defense costs", self.cost)


def answers(results: StudyResults, root: Path) -> tuple[Answer, ...]:
    """One answer for each case, such as a data set; none for a study that varies no defense.

    Raises:
        InputError: if the results of a cell cannot be read.
    """
    if not results.study or not defense_axes(results):
        return ()
    from fedleak.studies.directory import StudyDirectory
    from fedleak.studies.frontier import find_frontier

    directory = StudyDirectory(root)
    try:
        frontier = find_frontier(results, directory)
    except InputError:  # no cell is finished, or none records accuracy and bytes
        return ()
    found = (_answer(case, frontier, directory) for case in frontier.cases[:MOST_CASES])
    return tuple(answer for answer in found if answer is not None)


def _answer(case: Case, frontier: Frontier, directory: StudyDirectory) -> Answer | None:
    """None without a scored setting that has no defense."""
    plain = next(iter(undefended(case.settings)), None)
    metric = gate_metric(plain, frontier.metric) if plain is not None else None
    if plain is None or metric is None:
        return None
    defended = [setting for setting in case.settings if setting.defenses]
    folder = directory.cell(plain.cells[0]).root
    seen = load_results(folder)
    models, singly = threat_models(seen), single_leaks(seen)
    return Answer(
        case=case.name,
        tone=_tone(plain, defended, metric),
        leaks=_what_leaks(plain, defended, metric, singly),
        whom=_to_whom(plain.attacks[metric], models, singly),
        cost=_what_it_costs(plain, defended),
    )


def _tone(plain: Setting, defended: Sequence[Setting], metric: str) -> Tone:
    """Red if images leak without a defense, and behind every defense, too."""
    leak = [metric in setting.gates and setting.gates[metric].leaks for setting in (plain, *defended)]
    return "leaks" if all(leak) else "unclear"


def _value(metric: str, value: float) -> str:
    return f"{metric_title(metric)} {metric_value(metric, value)}{metric_unit(metric)}"


def _what_leaks(plain: Setting, defended: Sequence[Setting], metric: str, singly: Mapping[str, str]) -> str:
    gate, leak = plain.gates[metric], plain.leaks[metric]
    guess = f"{baseline_title(gate.baseline)}, {_value(metric, gate.guessed)}"
    if not gate.leaks and singly:
        single = "; ".join(singly.values())
        return f"Single images leak without a defense: {single}. The mean over all images is no better than {guess}."
    if not gate.leaks:
        return f"Nothing was shown to leak without a defense: no attack beats the best guess without updates ({guess})."
    bounds = interval_range(metric, leak.interval) if leak.attack == gate.attack else ""
    text = f"Without a defense, {gate.attack} rebuilds clients' training images at {_value(metric, gate.mean)} {bounds}"
    return f"{text.rstrip()}; the best guess without updates is worse ({guess}). {_behind(defended, metric)}".rstrip()


def _behind(defended: Sequence[Setting], metric: str) -> str:
    """What leaks behind the defenses."""
    if len(defended) > MOST_NAMED:
        leaking = sum(metric in setting.gates and setting.gates[metric].leaks for setting in defended)
        return f"Behind {leaking} of {len(defended)} defenses an attack still beats that guess."
    return " ".join(f"Behind {_short(setting)} {_left(setting.gates.get(metric), metric)}." for setting in defended)


def _short(setting: Setting) -> str:
    """The label of the only axis, or all axes with their labels."""
    axis, equals, label = setting.name.partition("=")
    return label if equals and "=" not in label and "," not in axis else setting.name


def _left(gate: Gate | None, metric: str) -> str:
    if gate is None:
        return "no attack was scored"
    if gate.leaks:
        return f"{gate.attack} still reaches {_value(metric, gate.mean)}"
    return f"no attack beats that guess (the closest has {_value(metric, gate.mean)})"


def _to_whom(gates: Sequence[Gate], models: Mapping[str, ThreatModel], singly: Mapping[str, str]) -> str:
    """For each threat model, the strongest attack, and whether it beats guessing, on average or on single images."""
    strongest: dict[str, Gate] = {}
    for gate in gates:
        model = models.get(gate.attack)
        strongest.setdefault(f"{model.adversary} ({model.text})" if model else "an unknown adversary", gate)
    found = {leaks: [(who, gate) for who, gate in strongest.items() if gate.leaks is leaks] for leaks in (True, False)}
    single = [(who, g) for who, g in found[False] if g.attack in singly]
    none = [(who, g) for who, g in found[False] if g.attack not in singly]
    texts = [
        ("To ", [f"{who} by {g.attack}, {_value(g.metric, g.mean)}" for who, g in found[True]]),
        ("Single images to ", [f"{who} by {g.attack}" for who, g in single]),
        ("Not shown to ", [f"{who} by {g.attack}" for who, g in none]),
    ]
    return " ".join(f"{opening}{'; to '.join(each)}." for opening, each in texts if each)


def _what_it_costs(plain: Setting, defended: Sequence[Setting]) -> str:
    if not defended:
        return "No defense was measured."
    shown = defended[:MOST_NAMED]
    texts = [f"{_short(setting)}: {', '.join(_costs(plain, setting))}" for setting in shown]
    more = len(defended) - len(shown)
    rest = f"; {plural(more, 'more setting')} in the table" if more else ""
    return f"{'; '.join(texts)}{rest}."


def _costs(plain: Setting, setting: Setting) -> list[str]:
    """Accuracy, bytes and privacy of a setting beside those of the undefended one."""
    costs = []
    if plain.accuracy is not None and setting.accuracy is not None:
        points = 100 * (setting.accuracy.mean - plain.accuracy.mean)
        change = f"{'+' if points > 0 else ''}{fixed(points, 1)} points"
        costs.append(f"accuracy {percent(setting.accuracy.mean)} instead of {percent(plain.accuracy.mean)} ({change})")
    if plain.bytes_per_round and setting.bytes_per_round:
        share = setting.bytes_per_round / plain.bytes_per_round
        costs.append(
            "the same bytes per round"
            if abs(share - 1) < ALIKE
            else f"{significant(share, 2)} times the bytes per round"
        )
    if setting.privacy is not None:
        costs.append(f"ε {privacy_loss(setting.privacy.epsilon)} at δ {setting.privacy.delta:g}")
    return costs or ["its cost was not measured"]
