"""What a study will measure: every attack at every point with its metrics, known before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedleak.attacks.base import Attack
from fedleak.results.leakage import WSRR, repeats
from fedleak.results.schema import WEIGHT_DISTANCE
from fedleak.scenario.schema import Scenario
from fedleak.stages.score.baselines import BASELINES
from fedleak.studies.matrix import Label, Point, matches
from fedleak.studies.measurements import ATTACK, ROUND
from fedleak.studies.records import ACCURACY, FINAL_ACCURACY, LABEL_ACCURACY, LABEL_ACCURACY_CLASS


@dataclass(frozen=True)
class PlannedPlace:
    """An attack, baseline or theorem at a point.

    Attributes:
        labels: axis or ``attack`` -> label.
        rounds: the rounds whose updates are attacked.
        metrics: what will be measured there.
        is_attack: false for baselines and theorems.
    """

    labels: Mapping[str, Label]
    rounds: frozenset[int]
    metrics: frozenset[str]
    is_attack: bool


def planned_places(cells: Iterable[tuple[Point, Scenario]]) -> tuple[PlannedPlace, ...]:
    """Every place of these cells, once for all seeds."""
    found = {(repr(point), place.labels[ATTACK]): place for point, scenario in cells for place in _of(point, scenario)}
    return tuple(found.values())


def selected(places: Iterable[PlannedPlace], where: Mapping[str, Label]) -> list[PlannedPlace]:
    """The places that ``where`` (full names of axes, ``attack``, ``round``) selects; baselines only if named."""
    wanted = {name: label for name, label in where.items() if name != ROUND}
    return [
        place
        for place in places
        if matches(place.labels, wanted)
        and (place.is_attack or ATTACK in wanted)
        and (ROUND not in where or where[ROUND] in place.rounds)
    ]


def _of(point: Point, scenario: Scenario) -> Iterator[PlannedPlace]:
    victims = scenario.adversary.victims.rounds
    rounds = frozenset(range(1, scenario.federation.rounds + 1) if victims == "all" else victims)
    common = frozenset(
        [metric.kind for metric in scenario.metrics.enabled()]
        + [analysis.kind for analysis in scenario.analyses]
        + [ACCURACY, FINAL_ACCURACY]
    )
    for attack in scenario.attacks:
        metrics = common.union(_of_attack(attack, scenario))
        yield PlannedPlace({**point, ATTACK: attack.name}, rounds, metrics, is_attack=True)
    for name in BASELINES:
        yield PlannedPlace({**point, ATTACK: name}, rounds, common, is_attack=False)
    for theory in scenario.theory:
        metrics = common.union(theory.columns)
        yield PlannedPlace({**point, ATTACK: theory.row_name}, rounds, metrics, is_attack=False)


def _of_attack(attack: Attack, scenario: Scenario) -> Iterator[str]:
    """What is measured for this attack in addition to every row's metrics."""
    if scenario.adversary.label_inference is not None or scenario.task.kind == "classification":
        yield from (LABEL_ACCURACY, LABEL_ACCURACY_CLASS)
    if attack.estimates_weights:
        yield WEIGHT_DISTANCE
    if attack.name in repeated(scenario.attacks):
        enabled = {metric.kind for metric in scenario.metrics.enabled()}
        yield from (rate for indicator, rate in WSRR.items() if indicator in enabled)


@dataclass(frozen=True)
class _Configured:
    attack: str
    kind: str
    settings: dict[str, object]


def repeated(attacks: Sequence[Attack]) -> frozenset[str]:
    """Names of the attacks that run several times, which a worst-sample rate needs."""
    configured = [_Configured(a.name, a.kind, a.model_dump(mode="json", exclude={"id"})) for a in attacks]
    return frozenset(name for names in repeats(configured) if len(names) > 1 for name in names)
