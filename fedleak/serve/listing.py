"""The runs and studies below a folder: what is running, what is finished, with headline and verdict."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import yaml

from fedleak.errors import InputError
from fedleak.records import read_bytes
from fedleak.report.build import REPORT_HTML
from fedleak.report.verdict import decide
from fedleak.results.format import plural
from fedleak.results.judgement import defenses
from fedleak.results.running import load_running
from fedleak.results.schema import RESULTS_JSON, load_results
from fedleak.run_directory import SCENARIO
from fedleak.studies.directory import STUDY_FILE
from fedleak.studies.report.answer import answers
from fedleak.studies.report.frontier import FRONTIER_HTML
from fedleak.studies.report.page import sentence_of
from fedleak.studies.results import STUDY_JSON, load_study_results

DEPTH = 4
"""Folders below the served one in which runs are looked for."""
MOST_ENTRIES = 2000
LARGEST_SCENARIO = 1 << 20
"""Bytes of a scenario that are read for a title."""
State = Literal["running", "finished", "stopped", "unreadable"]
Kind = Literal["run", "study"]
PAGES = (REPORT_HTML, FRONTIER_HTML)
"""Files of a run or study that are shown in place."""


@dataclass(frozen=True)
class Headline:
    """What is told of a finished run or study."""

    name: str
    tone: str
    text: str
    facts: str


@dataclass(frozen=True)
class Entry:
    """One run or study.

    Attributes:
        path: from the served folder, with slashes; ``.`` for the folder itself.
        progress: what it does now; empty unless it is running.
        pages: names of its pages, of ``PAGES``.
        changed: when its newest file of results was written.
    """

    path: str
    kind: Kind
    state: State
    headline: Headline
    progress: str
    pages: tuple[str, ...]
    changed: datetime

    def address(self, page: str) -> str:
        """The address of one of its pages."""
        return "/".join(("/at", *([] if self.path == "." else [quote(self.path)]), page))

    @property
    def is_comparable(self) -> bool:
        """Whether it can be compared with another run."""
        return self.kind == "run" and self.state == "finished"

    def matches(self, text: str, state: str) -> bool:
        """Whether it has every word of ``text`` and, unless that is empty, the state."""
        content = f"{self.path} {self.kind} {self.state} {self.headline} {self.progress}".lower()
        return all(word in content for word in text.lower().split()) and state in ("", self.state)


def entries(root: Path) -> list[Entry]:
    """Every run and study below ``root``: running ones first, then the newest."""
    found = [_entry(root, folder, kind) for folder, kind in _directories(root)]
    return sorted(found, key=lambda entry: (entry.state != "running", -entry.changed.timestamp()))


def _directories(root: Path) -> Iterator[tuple[Path, Kind]]:
    """Directories of runs and studies; links are not followed, and nothing is looked for inside them."""
    number = 0
    for folder, names, files in os.walk(root):
        path = Path(folder)
        kind: Kind | None = None
        if STUDY_FILE in files or STUDY_JSON in files:
            kind = "study"
        elif SCENARIO in files or RESULTS_JSON in files:
            kind = "run"
        if kind is not None or len(path.relative_to(root).parts) >= DEPTH:
            names.clear()
        names[:] = sorted(name for name in names if not name.startswith("."))
        if kind is not None:
            number += 1
            yield path, kind
            if number == MOST_ENTRIES:
                return


def _entry(root: Path, folder: Path, kind: Kind) -> Entry:
    results = folder / (STUDY_JSON if kind == "study" else RESULTS_JSON)
    running = load_running(folder)
    state: State = "finished"
    changed = folder.stat().st_mtime
    try:
        stamp = results.stat()
        headline, changed = _headline(folder, kind, stamp.st_mtime_ns, stamp.st_size), stamp.st_mtime
    except OSError:
        headline, state = _unfinished(folder, kind), "stopped"
    except InputError as error:
        headline, state = Headline(folder.name, "unclear", str(error), ""), "unreadable"
    return Entry(
        path=folder.relative_to(root).as_posix(),
        kind=kind,
        state="running" if running is not None else state,
        headline=headline,
        progress=running.text if running is not None else "",
        pages=tuple(name for name in PAGES if (folder / name).is_file()),
        changed=datetime.fromtimestamp(changed, UTC),
    )


@lru_cache(maxsize=4 * MOST_ENTRIES)
def _headline(folder: Path, kind: Kind, changed: int, size: int) -> Headline:
    """The headline of finished results; those of the same file are read once.

    Raises:
        InputError: if they cannot be read.
    """
    return _of_study(folder) if kind == "study" else _of_run(folder)


def _of_run(folder: Path) -> Headline:
    results = load_results(folder)
    verdict = decide(results)
    attacks = sum(not summary.is_baseline for summary in results.attacks)
    facts = [plural(attacks, "attack"), *(defenses(results.scenario) or ("no defense",))]
    return Headline(results.name, verdict.tone, " ".join(verdict.lines), ", ".join(facts))


def _of_study(folder: Path) -> Headline:
    results = load_study_results(folder)
    tone, text = sentence_of(results.verdicts)
    found = answers(results, folder)
    if found:
        tone, text = found[0].tone, found[0].leaks
    done = sum(cell.status == "ok" for cell in results.cells)
    failed = sum(cell.status == "failed" for cell in results.cells)
    facts = [f"{done} of {plural(len(results.cells), 'cell')}", *([f"{failed} failed"] if failed else [])]
    facts += [sentence_of(results.verdicts)[1]] if results.verdicts else []
    return Headline(results.name, tone, text, ", ".join(facts))


def _unfinished(folder: Path, kind: Kind) -> Headline:
    """The name and description in the file that is to be run."""
    again = f"fedleak {kind} {folder.name} continues it"
    try:
        raw = yaml.safe_load(read_bytes(folder / (STUDY_FILE if kind == "study" else SCENARIO), most=LARGEST_SCENARIO))
    except (OSError, ValueError, yaml.YAMLError):
        raw = None
    known = raw if isinstance(raw, dict) else {}
    return Headline(str(known.get("name", folder.name)), "unclear", str(known.get("description", "")), again)
