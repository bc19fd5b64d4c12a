from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fedleak.attacks import artefacts
from fedleak.cli.live import QuietWatcher
from fedleak.errors import InputError
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.execute import Tally
from fedleak.studies.records import CELL
from fedleak.studies.results import StudyResults
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from fedleak.studies.work import Unit, UnitOutcome
from tests.studies.builders import study

TOO_MANY = 61
"""Pairs that sixty public images cannot give: the federation fails."""


class Witness(QuietWatcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun_units: list[Unit] = []
        self.outcomes: list[UnitOutcome] = []

    def begun(self, unit: Unit) -> None:
        self.begun_units.append(unit)

    def ended(self, outcome: UnitOutcome, *, again: bool) -> None:
        self.outcomes.append(outcome)


def run(root: Path, *, retry_failed: bool = False, **blocks: Any) -> tuple[StudyResults, Witness]:
    witness = Witness()
    loaded = load_study(study(**blocks))
    return run_study(loaded, StudyDirectory(root), witness, serial=True, retry_failed=retry_failed), witness


def stamps(root: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in (root / "cells").glob(f"*/{CELL}")}


def test_each_federation_runs_once_and_every_cell_is_a_run_directory(finished: Path) -> None:
    assert len(list((finished / "federations").iterdir())) == 2
    cells = list((finished / "cells").iterdir())
    assert len(cells) == 4
    assert all((cell / name).is_file() for cell in cells for name in (CELL, "results.json", "report.html"))


def test_finished_cells_are_never_done_again(copied: Path) -> None:
    before = stamps(copied)
    results, witness = run(copied)
    assert witness.begun_units == []
    assert stamps(copied) == before
    assert {cell.status for cell in results.cells} == {"ok"}


def test_a_longer_axis_runs_only_what_is_new(copied: Path) -> None:
    before = stamps(copied)
    matrix = {"adversary.injection.pairs": [30, 60], "attacks.lti.hidden": [4, 8, 12]}
    results, witness = run(copied, matrix=matrix)
    assert [unit.kind for unit in witness.begun_units] == ["cell", "cell"]
    assert stamps(copied).items() > before.items()
    assert len(results.lines) == 6 * 4


def test_a_cell_that_was_killed_is_done_again_with_the_same_numbers(copied: Path, finished: Path) -> None:
    key = sorted(stamps(copied))[0]
    for path in (copied / "cells" / key).iterdir():
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
    _, witness = run(copied)
    assert [unit.key for unit in witness.begun_units] == [key]
    assert (copied / "study.csv").read_bytes() == (finished / "study.csv").read_bytes()


def test_a_failure_is_told_with_its_log_and_stops_nothing_else(tmp_path: Path) -> None:
    matrix = {"adversary.injection.pairs": [TOO_MANY, 30]}
    results, _ = run(tmp_path / "out", matrix=matrix)
    failed, worked = results.cells
    assert (failed.status, worked.status) == ("failed", "ok")
    assert "60 public images give at most 60 distinct pairs" in failed.reason
    assert any("Traceback" in line or "InputError" in line for line in failed.log_tail)
    assert results.verdicts[0].state == "inconclusive"
    assert "1 of 2 cells failed" in results.notes[0]
    _, again = run(tmp_path / "out", matrix=matrix)
    assert again.begun_units == []
    _, retried = run(tmp_path / "out", matrix=matrix, retry_failed=True)
    assert [outcome.unit.kind for outcome in retried.outcomes] == ["federation"]


def test_a_cell_that_cannot_write_counts_as_failed_or_not_run(tmp_path: Path) -> None:
    root = tmp_path / "out"
    blocked, unwritable = (cell.key for cell in load_study(study()).cells[:2])
    (root / "cells" / blocked).mkdir(parents=True)
    (root / "cells" / blocked / "attacks").write_text("no folder")
    (root / "cells" / unwritable).write_text("no folder either")
    (root / "study.yaml").write_text("")
    results, _ = run(root)
    assert [cell.status for cell in results.cells] == ["failed", "waiting", "ok", "ok"]
    (root / "cells" / blocked / "attacks").unlink()
    (root / "cells" / unwritable).unlink()
    results, _ = run(root, retry_failed=True)
    assert {cell.status for cell in results.cells} == {"ok"}


def test_cells_that_need_the_same_generator_train_it_once(tmp_path: Path) -> None:
    root = tmp_path / "out"
    run(root, matrix={"bootstrap_resamples": [100, 101]}, claims=[], seed=77)
    records = [StudyDirectory(root).record(key) for key in stamps(root)]
    cached = [m.training_cached for r in records if r for m in r.attacks if m.attack == "lti"]
    assert sorted(cached) == [False, True]


def test_an_artefact_is_made_by_one_at_a_time() -> None:
    inside, most = 0, 0

    def make() -> None:
        nonlocal inside, most
        with artefacts.exclusive("exclusive-test"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.05)
            inside -= 1

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_second_driver_is_kept_out(copied: Path) -> None:
    with StudyDirectory(copied).claim("x: 1"), pytest.raises(InputError, match="another fedleak process"):
        run(copied)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(InputError, match="it holds other files"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_the_time_to_go_follows_the_pace() -> None:
    tally = Tally(total=12, reused=2, started=time.monotonic() - 10, done=3, failed=1)
    assert tally.left == 6
    assert tally.eta == pytest.approx(15, abs=0.5)
    assert Tally(total=3, reused=0).eta is None


def test_cells_whose_code_or_federation_changed_run_again(copied: Path) -> None:
    """As after an edit of a user's own model: hashes of earlier code stand in the records."""
    before = stamps(copied)
    federation = sorted((copied / "federations").iterdir())[0]
    inputs = federation / "inputs.json"
    raw = json.loads(inputs.read_text())
    inputs.write_text(json.dumps(raw | {"code": raw["code"] | {"models_of_mine": "0" * 64}}))
    _, witness = run(copied)
    done = [(unit.kind, unit.federation) for unit in witness.begun_units]
    assert done == [("federation", federation.name), *[("cell", federation.name)] * 2]
    again = {cell for cell in before if stamps(copied)[cell] != before[cell]}
    assert {json.loads((copied / "cells" / cell / CELL).read_text())["federation"] for cell in again} == {
        federation.name
    }
    cell = sorted(before)[0]
    path = copied / "cells" / cell / CELL
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "0" * 64}))
    _, witness = run(copied)
    assert [(unit.kind, unit.key) for unit in witness.begun_units] == [("cell", cell)]
