"""The axes of a study that set defenses. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedleak.scenario.reader import parse_mapping
from fedleak.studies.results import StudyResults

DEFENSES = ("federation.client.", "federation.client_level_dp.", "federation.secure_aggregation.", "federation.server.")
"""Paths of what clients and the server do against leakage."""
ATTACKER = ("adversary.", "attacks.", "metrics.", "analyses.", "theory.")
"""Paths that leave the federation as it is."""
OTHER_TASK = ("dataset.", "model.", "task.", "federation.partition.")
"""Paths that make another learning problem, whose accuracy cannot be compared."""


def defense_axes(results: StudyResults) -> tuple[str, ...]:
    """The axes whose values set a defense and keep the learning problem."""
    paths = paths_by_axis(results)
    return tuple(axis for axis in results.axes if _is_defense(paths[axis]))


def paths_by_axis(results: StudyResults) -> dict[str, list[str]]:
    """Axis -> the scenario paths that its values set."""
    raw = parse_mapping(results.study, "study.json", option="STUDY_DIR") if results.study else {}
    matrix = raw.get("matrix")
    axes = matrix if isinstance(matrix, Mapping) else {}
    return {axis: _paths(axis, axes.get(axis)) for axis in results.axes}


def _paths(axis: str, levels: object) -> list[str]:
    if isinstance(levels, Mapping):
        return [str(path) for variant in levels.values() if isinstance(variant, Mapping) for path in variant]
    return [axis]


def _is_defense(paths: Sequence[str]) -> bool:
    """Whether some value sets a defense and all of them keep the learning problem; other settings may go with it."""
    return any(all_below([path], DEFENSES) for path in paths) and not any(
        all_below([path], OTHER_TASK) for path in paths
    )


def all_below(paths: Sequence[str], within: tuple[str, ...]) -> bool:
    """Whether there are paths, and all of them begin with one of ``within``."""
    return bool(paths) and all(f"{path}.".startswith(within) for path in paths)
