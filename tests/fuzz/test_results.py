"""Result files of a stranger: ``results.json``, ``study.json`` and records of cells with hostile values."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import mutated_json, scattered

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("report", "RUN"), ("compare", "RUN"), ("compare", "RUN", "OTHER", "--out", "page.html"),
    ("track", "RUN", "--to", "tensorboard=logs"),
)  # fmt: skip
STUDY_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("frontier", "RUN", "--metric", "mse"), ("frontier", "RUN"), ("track", "RUN", "--to", "tensorboard=logs"),
    ("study", "RUN/study.yaml", "--out", "RUN", "--serial", "--quiet"),
)  # fmt: skip
OWN = ("results.json", "report.html", "scenario.yaml", "environment.json")


def read_with(arena: Arena, run: Path, content: bytes, command: tuple[str, ...]) -> None:
    """A command on the results of ``run``, with another ``results.json``; ``OTHER`` are the healthy ones."""
    with arena.folder() as folder:
        for name in ("RUN", "OTHER"):
            shutil.copytree(run / "pictures", folder / name / "pictures")
            for file in OWN:
                shutil.copy(run / file, folder / name / file)
        (folder / "RUN/results.json").write_bytes(content)
        arena.run(command, folder)


@efforts
def test_results_with_hostile_values(arena: Arena, finished_run: Path, effort: Effort) -> None:
    contents = mutated_json((finished_run / "results.json").read_bytes())
    inputs = st.tuples(contents, scattered(COMMANDS))
    effort.over(inputs, lambda case: read_with(arena, finished_run, *case), examples=70)


@st.composite
def records(draw: st.DrawFn, study: Path) -> tuple[str, bytes]:
    """A JSON file of a study, by its name, and its mutated content."""
    names = ["study.json", *sorted(path.relative_to(study).as_posix() for path in study.glob("cells/*/*.json"))]
    name = draw(scattered(names))
    return name, draw(mutated_json((study / name).read_bytes()))


def read_study_with(arena: Arena, study: Path, change: tuple[str, bytes], command: tuple[str, ...]) -> None:
    """A command on a copy of ``study`` with another record."""
    name, content = change
    with arena.folder() as folder:
        shutil.copytree(study, folder / "RUN", symlinks=True)
        (folder / "RUN" / name).write_bytes(content)
        arena.run(command, folder)


@efforts
def test_records_of_a_study_with_hostile_values(arena: Arena, finished_study: Path, effort: Effort) -> None:
    inputs = st.tuples(records(finished_study), scattered(STUDY_COMMANDS))
    effort.over(inputs, lambda case: read_study_with(arena, finished_study, *case), examples=50)
