"""What the user's path is: the directory of a run, that of a study, or a file; and which command takes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from fedleak.errors import InputError
from fedleak.results.schema import RESULTS_JSON
from fedleak.scenario.shipped import find_scenario
from fedleak.studies.directory import STUDY_FILE, StudyDirectory
from fedleak.studies.results import STUDY_JSON, load_study_results
from fedleak.transcript.manifest import MANIFEST

SCENARIO_FILE = "scenario.yaml"
Place = Literal["run", "study", "folder", "file", "nothing"]


def what_is(path: Path) -> Place:
    """The kind of a path, by the files in it."""
    if (path / STUDY_FILE).is_file() or (path / STUDY_JSON).is_file():
        return "study"
    if any((path / name).is_file() for name in (SCENARIO_FILE, RESULTS_JSON, f"transcript/{MANIFEST}")):
        return "run"
    if path.is_dir():
        return "folder"
    return "file" if path.exists() else "nothing"


def check_run(path: Path, *, finished: bool) -> None:
    """Check that ``path`` is the directory of a run.

    Raises:
        InputError: if it is not, or its attacks are not ``finished``; the message names the right command.
    """
    place = what_is(path)
    if place == "study":
        cells = f"its cells are runs, such as {_some_cell(path)}; 'fedleak report' prints the study"
        raise InputError("RUN_DIR", str(path), f"it is the directory of a study; {cells}")
    if place != "run":
        raise InputError("RUN_DIR", str(path), _no_directory(place, "run"))
    if finished and not (path / RESULTS_JSON).is_file():
        raise InputError("RUN_DIR", str(path), f"its attacks are not finished: 'fedleak attack {path}' runs them")


def check_study(path: Path) -> None:
    """Check that ``path`` is the directory of a finished study.

    Raises:
        InputError: if it is not; the message names the right command.
    """
    place = what_is(path)
    if place == "run":
        one = "a single run; 'fedleak report' prints it, 'fedleak compare' compares several"
        raise InputError("STUDY_DIR", str(path), f"it is the directory of {one}")
    if place != "study":
        raise InputError("STUDY_DIR", str(path), _no_directory(place, "study"))
    if not (path / STUDY_JSON).is_file():
        raise InputError("STUDY_DIR", str(path), f"it is not finished: 'fedleak study {path}' continues it")


def runs_in(paths: list[Path]) -> Iterator[Path]:
    """The runs among the paths, and the finished cells of the studies.

    Raises:
        InputError: if one is neither.
    """
    for path in paths:
        if what_is(path) != "study":
            check_run(path, finished=True)
            yield path
            continue
        check_study(path)
        for cell in load_study_results(path).cells:
            if cell.status == "ok":
                yield StudyDirectory(path).cell(cell.key).root


def source_of(given: Path, out: Path | None, *, option: str) -> tuple[Path, Path | None]:
    """The file to run and where to: a file, a shipped name, or the directory of a run or study to continue.

    Raises:
        InputError: if there is no such file, or the directory holds neither.
    """
    place = what_is(given)
    name = {"run": SCENARIO_FILE, "study": STUDY_FILE}.get(place)
    if name is not None and (given / name).is_file():
        return given / name, out or given
    if place in ("folder", "run", "study"):
        raise InputError(option, str(given), f"it is a directory without {name or SCENARIO_FILE}; expected a YAML file")
    return find_scenario(given, option=option), out


def _no_directory(place: Place, wanted: str) -> str:
    if place == "nothing":
        return "there is no such directory"
    if place == "file":
        return f"it is a file; expected the directory of a {wanted}, which 'fedleak {wanted} FILE' makes"
    return f"not the directory of a fedleak {wanted}"


def _some_cell(path: Path) -> str:
    cells = sorted((path / "cells").glob("*"))
    return str(cells[0]) if cells else f"{path}/cells/KEY"
