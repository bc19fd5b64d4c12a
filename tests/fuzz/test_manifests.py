"""Transcripts of a stranger: manifests with hostile values, and arrays that no longer fit, with checksums that do."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fedleak.transcript.manifest import file_digest
from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import as_json, mutated_bytes, mutated_text, mutated_trees, scattered

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("attack", "RUN"), ("attack", "RUN", "--set", "attacks.lti.hidden=3"), ("labels", "RUN"), ("doctor", "RUN"),
    ("run", "RUN/scenario.yaml", "--out", "RUN"),
)  # fmt: skip


@cache
def manifest_text(run: Path) -> str:
    return (run / "transcript/manifest.json").read_text()


def attack_with(arena: Arena, run: Path, manifest: bytes, command: tuple[str, ...]) -> None:
    """A command on a copy of ``run`` with another manifest."""
    with arena.folder() as folder:
        shutil.copytree(run, folder / "RUN")
        (folder / "RUN/transcript/manifest.json").write_bytes(manifest)
        arena.run(command, folder)


@efforts
def test_manifests_with_hostile_values(arena: Arena, finished_run: Path, effort: Effort) -> None:
    trees = mutated_trees([json.loads(manifest_text(finished_run))], most=2).map(as_json)
    inputs = st.tuples(trees, scattered(COMMANDS))
    effort.over(inputs, lambda case: attack_with(arena, finished_run, *case), examples=15)


@efforts
def test_manifests_with_broken_text(arena: Arena, finished_run: Path, effort: Effort) -> None:
    text = manifest_text(finished_run)
    contents = st.one_of(mutated_text([text]), mutated_bytes([text.encode()]))
    inputs = st.tuples(contents, scattered(COMMANDS))
    effort.over(inputs, lambda case: attack_with(arena, finished_run, *case), examples=9)


@st.composite
def resealed(draw: st.DrawFn, run: Path) -> tuple[str, bytes]:
    """A file of the transcript and its new content: the same format, but another shape or other bytes."""
    names: list[str] = sorted(json.loads(manifest_text(run))["checksums"])
    name = draw(scattered(names))
    same = [(run / "transcript" / other).read_bytes() for other in names if Path(other).suffix == Path(name).suffix]
    content = (run / "transcript" / name).read_bytes()
    return name, draw(st.one_of(scattered(same), mutated_bytes([content], head=160)))


def attack_resealed(arena: Arena, run: Path, change: tuple[str, bytes], command: tuple[str, ...]) -> None:
    """A command on a copy of ``run`` with another array, whose checksum the manifest gives."""
    name, content = change
    with arena.folder() as folder:
        shutil.copytree(run, folder / "RUN")
        transcript = folder / "RUN/transcript"
        (transcript / name).write_bytes(content)
        manifest: dict[str, Any] = json.loads(manifest_text(run))
        manifest["checksums"][name] = file_digest(transcript / name)
        (transcript / "manifest.json").write_text(json.dumps(manifest))
        arena.run(command, folder)


@efforts
def test_arrays_with_matching_checksums(arena: Arena, finished_run: Path, effort: Effort) -> None:
    inputs = st.tuples(resealed(finished_run), scattered(COMMANDS))
    effort.over(inputs, lambda case: attack_resealed(arena, finished_run, *case), examples=32)
