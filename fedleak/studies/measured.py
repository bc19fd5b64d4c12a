"""The settings of a study as measured by its cells: accuracy, leakage, bandwidth and the evidence behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fedleak.results.judgement import accuracy_interval, not_learned
from fedleak.studies.matrix import Point, describe, short_names
from fedleak.studies.measurements import AttackPlace, Gate, Measurements
from fedleak.studies.records import ACCURACY, FINAL_ACCURACY, CellRecord, least_private
from fedleak.studies.tradeoff import Leak, SeedRange, Setting

Cell = tuple[Point, int, CellRecord]
"""Point, seed and record of a finished cell."""


def measured_settings(
    axes: tuple[str, ...], ours: tuple[str, ...], cells: Sequence[Cell], higher: Sequence[str]
) -> list[Setting]:
    """The settings of one case, numbered in the order of the cells.

    Args:
        axes: all axes of the study.
        ours: the axes whose labels name a setting.
        cells: the finished cells of the case.
        higher: metrics that are higher for more leakage.
    """
    measured = Measurements(axes)
    by_name: dict[str, list[Cell]] = {}
    for point, seed, record in cells:
        measured.add(point, seed, record)
        name = describe({axis: point[axis] for axis in ours}, short_names(axes))
        by_name.setdefault(name, []).append((point, seed, record))
    return [_setting(i, name, members, measured, higher) for i, (name, members) in enumerate(by_name.items(), start=1)]


def _setting(number: int, name: str, cells: Sequence[Cell], measured: Measurements, higher: Sequence[str]) -> Setting:
    records = [record for _, _, record in cells]
    places = list(dict.fromkeys(place for point, _, _ in cells for place in measured.places(point)))
    candidates = [_leaks(measured, place) for place in places]
    accuracies = [r.accuracy for r in records if r.accuracy is not None]
    sizes = [r.bytes_per_round for r in records if r.bytes_per_round is not None]
    against = _gates(measured, places, higher)
    return Setting(
        number=number,
        name=name,
        seeds=len({seed for _, seed, _ in cells}),
        images=_distinct_images(records),
        accuracy=SeedRange(mean=_mean(accuracies), low=min(accuracies), high=max(accuracies)) if accuracies else None,
        accuracy_interval=accuracy_interval(list(_by_seed(cells).values()), records[0].test_images),
        not_learned=not_learned(list(_by_seed(cells).values()), records[0].test_images, records[0].chance),
        defenses=_defenses(records),
        doubts=tuple(dict.fromkeys(doubt for record in records for doubt in record.doubts)),
        bytes_per_round=_mean(sizes) if sizes else None,
        privacy=least_private(record.privacy for record in records),
        leaks=_strongest(candidates, higher),
        unaware=_strongest([leaks for leaks in candidates if not _adapts(leaks)], higher),
        aware=_strongest([leaks for leaks in candidates if _adapts(leaks)], higher),
        gates={metric: _clearest(gates) for metric, gates in against.items()},
        attacks=against,
        cells=tuple(record.key for record in records),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _by_seed(cells: Iterable[Cell]) -> dict[int, float]:
    """Seed -> final accuracy; cells that differ in the adversary alone have that of one federation."""
    return {seed: record.accuracy for _, seed, record in cells if record.accuracy is not None}


def _distinct_images(records: Iterable[CellRecord]) -> int:
    """Number of images that some attack rebuilt; those of one set of victims count once."""
    sets: dict[str, set[tuple[int, int, int]]] = {}
    for record in records:
        known = sets.setdefault(record.images or record.federation, set())
        known.update(image for m in record.attacks if not m.is_baseline for image in m.images)
    return sum(map(len, sets.values()))


def _defenses(records: Iterable[CellRecord]) -> tuple[str, ...] | None:
    found: list[str] = []
    for record in records:
        if record.defenses is None:
            return None
        found += record.defenses
    return tuple(dict.fromkeys(found))


def _leaks(measured: Measurements, place: AttackPlace) -> dict[str, Leak]:
    """Metric -> leakage by the attack there."""
    parts = measured.measured(place)
    first, found = parts[0], {}
    for metric, interval in measured.intervals(place).items():
        if metric not in (ACCURACY, FINAL_ACCURACY):
            images = sum(value is not None for part in parts for value in part.metrics.get(metric, ()))
            found[metric] = Leak(attack=first.attack, interval=interval, adaptive=first.adaptive, images=images)
    return found


def _adapts(leaks: Mapping[str, Leak]) -> bool:
    return any(leak.adaptive for leak in leaks.values())


def _strongest(candidates: Iterable[Mapping[str, Leak]], higher: Sequence[str]) -> dict[str, Leak]:
    """For each metric, the attack that leaks most."""
    found: dict[str, Leak] = {}
    for leaks in candidates:
        for metric, leak in leaks.items():
            known = found.get(metric)
            if known is None or _exceeds(leak.interval.mean, known.interval.mean, higher=metric in higher):
                found[metric] = leak
    return found


def _exceeds(left: float, right: float, *, higher: bool) -> bool:
    return left > right if higher else left < right


def _gates(measured: Measurements, places: Sequence[AttackPlace], higher: Sequence[str]) -> dict[str, tuple[Gate, ...]]:
    """For each metric, every attack against the baselines, the one that rebuilds most first."""
    found: dict[str, list[Gate]] = {}
    for place in places:
        for metric in dict.fromkeys(name for part in measured.measured(place) for name in part.metrics):
            if (gate := measured.gate(place, metric)) is not None:
                found.setdefault(metric, []).append(gate)
    return {m: tuple(sorted(gates, key=_mean_of, reverse=m in higher)) for m, gates in found.items()}


def _mean_of(gate: Gate) -> float:
    return gate.mean


def _clearest(gates: Sequence[Gate]) -> Gate:
    """An attack that beats the baselines if there is one, else the one that rebuilds most."""
    return next((gate for gate in gates if gate.leaks), gates[0])
