"""Finished runs and studies with files removed, cut or replaced, for every command that reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import mutated_bytes, mutated_json, scattered

READERS: tuple[tuple[str, ...], ...] = (
    ("report", "RUN"), ("compare", "RUN"), ("compare", "RUN", "--out", "page.html"), ("doctor", "RUN"),
    ("doctor", "RUN", "--json"), ("labels", "RUN", "--kind", "row_sum"), ("track", "RUN", "--to", "tensorboard=logs"),
    ("attack", "RUN"), ("run", "RUN/scenario.yaml", "--out", "RUN"), ("federate", "RUN/scenario.yaml", "--out", "RUN"),
)  # fmt: skip
STUDY_READERS: tuple[tuple[str, ...], ...] = (
    ("frontier", "RUN", "--metric", "mse"), ("frontier", "RUN"), ("track", "RUN", "--to", "tensorboard=logs"),
    ("doctor", "RUN"), ("compare", "RUN"), ("report", "RUN"), ("validate", "RUN/study.yaml"), ("studies", "RUN"),
    ("study", "RUN/study.yaml", "--out", "RUN", "--serial"),
)  # fmt: skip


@dataclass(frozen=True)
class Damage:
    """One change of a directory: what is done to which file, with which content."""

    file: str
    how: str
    content: bytes = b""

    def apply(self, root: Path, outside: Path) -> None:
        """Change ``root``; links lead to ``outside``."""
        path = root / self.file
        if not os.path.lexists(path):
            return  # removed together with its folder
        DAMAGES[self.how](path, self.content, outside)


def remove(path: Path, *_: object) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def overwrite(path: Path, content: bytes, _: Path) -> None:
    remove(path)
    path.write_bytes(content)


def become_folder(path: Path, *_: object) -> None:
    remove(path)
    (path / "inner").mkdir(parents=True)


def become_link(path: Path, _: bytes, outside: Path) -> None:
    """A link to a file of that name outside, or to the folder outside."""
    remove(path)
    path.symlink_to(outside / "keep.txt" if path.suffix else outside)


def link_to_itself(path: Path, *_: object) -> None:
    remove(path)
    path.symlink_to(path.name)


def become_pipe(path: Path, *_: object) -> None:
    remove(path)
    os.mkfifo(path)


def become_device(path: Path, *_: object) -> None:
    remove(path)
    path.symlink_to("/dev/zero")


def lose_rights(path: Path, *_: object) -> None:
    path.chmod(0)


def grow(path: Path, *_: object) -> None:
    if path.is_file():
        path.write_bytes(path.read_bytes() * 3)


def rename(path: Path, *_: object) -> None:
    path.rename(path.with_name(os.fsdecode(b"\xff\xfe" + os.fsencode(path.name))))


DAMAGES: dict[str, Callable[[Path, bytes, Path], None]] = {
    "remove": remove,
    "overwrite": overwrite,
    "folder": become_folder,
    "link": become_link,
    "loop": link_to_itself,
    "pipe": become_pipe,
    "device": become_device,
    "rights": lose_rights,
    "grow": grow,
    "rename": rename,
}


@st.composite
def damages(draw: st.DrawFn, root: Path) -> list[Damage]:
    """One or two changes of the files or folders below ``root``."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    chosen = []
    for _ in range(draw(st.integers(1, 2))):
        file = draw(scattered(files))
        if (root / file).is_dir():
            chosen.append(Damage(file, draw(scattered([how for how in DAMAGES if how != "grow"]))))
            continue
        how = draw(scattered((*DAMAGES, *["overwrite"] * 8)))
        original = (root / file).read_bytes()
        texts = [mutated_json(original)] if file.endswith(".json") else []
        contents = st.one_of(mutated_bytes([original], head=128), scattered((b"", b"{}", b"[]", b"\xff")), *texts)
        chosen.append(Damage(file, how, draw(contents) if how == "overwrite" else b""))
    return chosen


def read_damaged(arena: Arena, root: Path, changes: list[Damage], command: tuple[str, ...]) -> None:
    """A command that reads a copy of ``root`` with ``changes``."""
    with arena.folder() as folder:
        shutil.copytree(root, folder / "RUN", symlinks=True)
        for change in changes:
            change.apply(folder / "RUN", arena.outside)
        arena.run(command, folder)


def test_healthy_directories_are_read(arena: Arena, finished_run: Path, finished_study: Path) -> None:
    for command in READERS:
        read_damaged(arena, finished_run, [], command)
    for command in STUDY_READERS:
        read_damaged(arena, finished_study, [], command)


@efforts
def test_damaged_runs(arena: Arena, finished_run: Path, effort: Effort) -> None:
    inputs = st.tuples(damages(finished_run), scattered(READERS))
    effort.over(inputs, lambda case: read_damaged(arena, finished_run, *case), examples=20)


@efforts
def test_damaged_studies(arena: Arena, finished_study: Path, effort: Effort) -> None:
    inputs = st.tuples(damages(finished_study), scattered(STUDY_READERS))
    effort.over(inputs, lambda case: read_damaged(arena, finished_study, *case), examples=24)
