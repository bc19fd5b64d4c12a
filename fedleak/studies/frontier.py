"""Trade-off of a study's settings between accuracy, leakage and bandwidth. Torch-free.

A setting is better if the model is more accurate, the strongest attack rebuilds less and a round takes fewer bytes. It
is dominated if another setting is at least as good in all three and better in one; the others form the Pareto frontier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fedleak.errors import InputError, nearest
from fedleak.results.leakage import WSRR
from fedleak.studies.defense_axes import ATTACKER, all_below, defense_axes, paths_by_axis
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.evidence import LEAKAGE, lacking_evidence
from fedleak.studies.matrix import Point, describe, short_names
from fedleak.studies.measured import measured_settings
from fedleak.studies.records import CellRecord
from fedleak.studies.results import StudyResults
from fedleak.studies.tradeoff import Case, Frontier, Setting

ACCURACY_LOSS = 0.05
"""Accuracy loss that a defense may cost: the threshold of the SoK (section 6)."""


def find_frontier(
    results: StudyResults,
    directory: StudyDirectory,
    *,
    metric: str | None = None,
    accuracy_loss: float = ACCURACY_LOSS,
) -> Frontier:
    """Compare the settings of a finished study.

    Args:
        results, directory: the study and its files.
        metric: leakage metric; by default LPIPS if every setting has it, else another.
        accuracy_loss: loss that the recommended setting may have against the most accurate one, in [0, 1].

    Raises:
        InputError: if the metric was not measured, or no cell holds accuracy and bytes.
    """
    cells = [(c.point, c.seed, r) for c in results.cells if (r := directory.record(c.key)) and r.status == "ok"]
    if not any(r.accuracy is not None and r.bytes_per_round is not None for _, _, r in cells):
        raise InputError("STUDY_DIR", str(directory.root), "no finished cell holds accuracy and bytes; run it again")
    paths = paths_by_axis(results)
    ours = defense_axes(results) or results.axes
    theirs = tuple(axis for axis in results.axes if all_below(paths[axis], ATTACKER))
    cases: dict[str, list[tuple[Point, int, CellRecord]]] = {}
    for point, seed, record in cells:
        rest = {axis: label for axis, label in point.items() if axis not in (*ours, *theirs)}
        cases.setdefault(describe(rest, short_names(results.axes)), []).append((point, seed, record))
    higher = (*results.higher_is_better, *WSRR.values())
    found = {name: measured_settings(results.axes, ours, members, higher) for name, members in cases.items()}
    chosen = _metric(metric, [setting for settings in found.values() for setting in settings])
    return Frontier(
        study=results.name,
        metric=chosen,
        metrics=_in_order(chosen, {name for settings in found.values() for s in settings for name in s.leaks}),
        higher_leaks_more=higher,
        accuracy_loss=accuracy_loss,
        cases=tuple(_judge(name, settings, chosen, higher, accuracy_loss) for name, settings in found.items()),
    )


def _metric(wanted: str | None, settings: Iterable[Setting]) -> str:
    measured = [set(setting.leaks) for setting in settings if setting.leaks]  # an attack may fail on all of a setting
    everywhere = set.intersection(*measured) if measured else set()
    if wanted is not None and wanted not in everywhere:
        known = ", ".join(sorted(everywhere)) or "none"
        raise InputError("--metric", wanted, f"{nearest(wanted, everywhere)}measured in every setting: {known}")
    chosen = wanted or next((name for name in LEAKAGE if name in everywhere), None)
    if chosen is None:
        raise InputError("STUDY_DIR", sorted(everywhere), f"expected one of {', '.join(LEAKAGE)} in every setting")
    return chosen


def _in_order(chosen: str, measured: set[str]) -> tuple[str, ...]:
    rest = measured - {chosen}
    first = (*LEAKAGE, *WSRR, *WSRR.values())
    return (chosen, *(name for name in first if name in rest), *sorted(rest - set(first)))


def _judge(name: str, settings: list[Setting], metric: str, higher: Sequence[str], loss: float) -> Case:
    sign = 1.0 if metric in higher else -1.0
    # Three numbers each; lower is better.
    costs = {s.number: (-m[0], sign * m[1], m[2]) for s in settings if (m := s.measures(metric)) is not None}
    judged = tuple(s.model_copy(update={"dominated_by": _dominator(s.number, costs)}) for s in settings)
    if not costs:
        return Case(name=name, settings=judged, missing=len(settings))
    most_accurate = min(costs, key=lambda number: costs[number])
    allowed = [number for number in costs if costs[number][0] <= costs[most_accurate][0] + loss]
    candidate = min(allowed, key=lambda number: (costs[number][1], costs[number][2], costs[number][0]))
    lacking = lacking_evidence([s for s in judged if s.number in costs], candidate, metric)
    return Case(
        name=name,
        settings=judged,
        recommended=None if lacking else candidate,
        candidate=candidate,
        lacking=lacking,
        most_accurate=most_accurate,
        missing=len(settings) - len(costs),
    )


def _dominator(number: int, costs: Mapping[int, tuple[float, float, float]]) -> int | None:
    """The dominating setting that leaks least; None if there is none."""
    own = costs.get(number)
    if own is None:
        return None
    better = [n for n, c in costs.items() if c != own and all(a <= b for a, b in zip(c, own, strict=True))]
    return min(better, key=lambda n: costs[n][1], default=None)
