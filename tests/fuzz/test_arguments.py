"""Command lines: every command with its own options, other commands' options, and hostile values."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import click
import pytest
import typer
from hypothesis import strategies as st

from fedleak.cli.app import app
from tests.fuzz import bases
from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import TEXTS, kind_names, scattered

FILES = (
    "small.yaml",
    "two.yaml",
    "folder",
    "empty",
    "text",
    "RUN",
    "STUDY",
    "missing",
    "missing/below",
    "text/below",
)
"""Names in the folder of a case."""
VALUES = (
    *FILES, "mse", "zzz", "0", "1", "2", "-1", "1e9", "nan", "9" * 30, "smoke", "more", "mlflow", "tensorboard=logs",
    "tensorboard=text", "tensorboard=text/below", "tensorboard=", "=", "mlflow=", "mlflow=sqlite:///text",
    "name=x", "federation.rounds=1", "cpu", "gpu", "row_sum", "n" * 300, "f/" * 300, "loop", "loop/below", "/dev/null",
    "/dev/null/x", "/proc/self/x",
)  # fmt: skip
SERIAL = ("study", "verify")
"""Commands that would start Ray."""
FOREVER = ("serve",)
"""Commands that go on until they are interrupted if their arguments are right."""
MINUTES = ("bench",)
"""Commands that take minutes if their arguments are right."""


@cache
def commands() -> dict[str, click.Command]:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    return group.commands


def options(name: str) -> tuple[str, ...]:
    """Options of a command, and a few that are not."""
    own = [option for parameter in commands()[name].params for option in parameter.opts if option.startswith("-")]
    return (*(option for option in own if option != "--address"), "--help", "--no-such-option", "-x", "--")


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with up to three arguments and up to three options."""
    name = draw(scattered(sorted(set(commands()) - set(FOREVER))))
    texts = scattered([text for text in TEXTS if "\x00" not in text and not text.startswith("..")])
    value = st.one_of(scattered(VALUES), scattered(VALUES), texts, scattered(kind_names()))
    if name in MINUTES:
        value = value.filter(lambda text: text not in kind_names() and text not in {"igsa"})
    positional = draw(st.lists(st.one_of(scattered(FILES), value), max_size=2))
    given = []
    for option in draw(st.lists(scattered(options(name)), max_size=3)):
        given += [option, draw(value)] if draw(st.booleans()) else [option]
    words = [*positional, *given] if draw(st.booleans()) else [*given, *positional]
    return [name, *(["--serial"] if name in SERIAL else []), *words]


def furnish(folder: Path, run: Path, study: Path) -> None:
    """Put the files that command lines name into ``folder``."""
    bases.write(folder, bases.SMALL, "small.yaml")
    bases.write(folder, bases.STUDY, "two.yaml")
    (folder / "folder").mkdir()
    (folder / "empty").touch()
    (folder / "text").write_text("hello\n")
    (folder / "loop").symlink_to("loop")
    shutil.copytree(run, folder / "RUN")
    shutil.copytree(study, folder / "STUDY", symlinks=True)


def call(arena: Arena, run: Path, study: Path, words: list[str]) -> None:
    with arena.folder() as folder:
        furnish(folder, run, study)
        arena.run(words, folder)


@efforts
def test_command_lines(arena: Arena, finished_run: Path, finished_study: Path, effort: Effort) -> None:
    effort.over(command_lines(), lambda words: call(arena, finished_run, finished_study, words), examples=100)


OUT = (
    "text",
    "text/below",
    "n" * 300,
    "f/" * 3000,
    "loop",
    "loop/below",
    "/dev/null",
    "/dev/null/x",
    "/proc/self/x",
    "",
    ".",
)


@pytest.mark.parametrize("out", OUT, ids=lambda out: repr(out[:12]))
@pytest.mark.parametrize("name", ["run", "federate", "study", "compare"])
def test_places_that_cannot_be_written(
    arena: Arena, finished_run: Path, finished_study: Path, name: str, out: str
) -> None:
    what = {"study": ["two.yaml", "--serial"], "compare": ["RUN"]}.get(name, ["small.yaml"])
    call(arena, finished_run, finished_study, [name, *what, "--out", out])


@pytest.mark.parametrize("name", sorted(commands()))
def test_commands_without_arguments_and_with_help(arena: Arena, name: str) -> None:
    with arena.folder() as folder:
        if name not in MINUTES:
            arena.run([name], folder)
        assert arena.run([name, "--help"], folder).code == 0
