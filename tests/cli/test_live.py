from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from fedleak.cli.live import TerminalWatcher, unit_names, watch
from fedleak.progress import QuietProgress
from fedleak.results.running import shared_progress
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.execute import Tally
from fedleak.studies.records import save_cell
from fedleak.studies.study import load_study
from fedleak.studies.work import Unit, UnitOutcome
from tests.studies.builders import record, study

UNIT = Unit("cell", "0123456789abcdef", "f", {})


def test_without_a_terminal_each_unit_is_a_line() -> None:
    console = Console(file=io.StringIO(), width=200)
    with watch(load_study(study()), console) as watcher:
        watcher.ended(UnitOutcome(UNIT, 1.5), again=False)
        watcher.ended(UnitOutcome(UNIT, 0.0, "[b]boom[/b]"), again=False)
        watcher.ended(UnitOutcome(UNIT, 0.0, "worker died"), again=True)
        watcher.refresh(Tally(total=3, reused=0))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split(": ", 1)[1] for line in text.splitlines()] == [
        "4 cells on 2 federations; starting workers",
        "1.5 s",
        "failed: [b]boom[/b]",
        "worker died; trying again",
    ]


def test_without_a_terminal_a_line_now_and_then_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedleak.cli.live.LINE_SECONDS", -1.0)
    console = Console(file=io.StringIO(), width=200)
    with watch(load_study(study()), console) as watcher:
        watcher.refresh(Tally(total=10, reused=1, started=time.monotonic() - 30, done=3, running=((UNIT, 0.0),)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.splitlines()[-1] == "  4 of 10 cells done, 1 running, about 60.0 s to go"


def test_on_a_terminal_there_is_a_table_with_the_time_to_go() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    now = time.monotonic()
    tally = Tally(total=10, reused=1, started=now - 30, done=2, failed=1, running=((UNIT, now - 5),))
    with Live(console=console, auto_refresh=False) as live:
        TerminalWatcher(console, {UNIT.key: "pairs=30, seed 0"}, live).refresh(tally)
        live.refresh()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(part in text for part in ("pairs=30, seed 0", "4/10, 1 failed", "about 60.0 s to go"))


def test_units_go_by_their_point_and_seed() -> None:
    loaded = load_study(study(seeds=[3]))
    names = unit_names(loaded)
    assert names[loaded.cells[0].key] == names[loaded.cells[0].federation] == "pairs=30, hidden=4, seed 3"


def test_what_a_running_unit_does_stands_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedleak.cli.live.LINE_SECONDS", -1.0)
    directory, console = StudyDirectory(tmp_path), Console(file=io.StringIO(), width=200)
    root = directory.cell(UNIT.key).root
    root.mkdir(parents=True)
    with shared_progress(root, QuietProgress()) as progress, watch(load_study(study()), console, directory) as watcher:
        progress.task("attacking with dlg", 12)
        watcher.refresh(Tally(total=4, reused=0, running=((UNIT, 0.0),)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.splitlines()[-1] == "    cell (): attacking with dlg: 0 of 12"


def test_the_scores_of_a_finished_cell_are_one_line_for_each_attack(tmp_path: Path) -> None:
    directory, console = StudyDirectory(tmp_path), Console(file=io.StringIO(), width=200)
    values = {"dlg": {"mse": [0.01, 0.03], "psnr": [20.0, 15.0]}, "baseline_mean_image": {"mse": [0.1, 0.1]}}
    root = directory.cell(UNIT.key).root
    root.mkdir(parents=True)
    save_cell(root, record(values))
    TerminalWatcher(console, {}, None, directory).ended(UnitOutcome(UNIT, 1.5), again=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.splitlines()[1:] == ["  dlg: 2 images, PSNR 17.50 dB, MSE 0.0200"]
