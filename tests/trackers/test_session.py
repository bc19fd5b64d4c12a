from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import pytest

from fedleak.cli.live import QuietWatcher, unit_names
from fedleak.errors import InputError, TrackingError
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from fedleak.trackers.base import TrackedEntry, Tracker
from fedleak.trackers.session import TrackingWatcher, chosen_trackers, log_finished
from tests.scenarios import command, write_scenario
from tests.studies.builders import study, write_study


class Notebook(Tracker):
    """Lines in a file: the real thing without a library."""

    kind: Literal["notebook"] = "notebook"

    def log(self, entry: TrackedEntry) -> bool:
        path = Path(self.target)
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        if entry.key in {line.split("\t")[0] for line in lines}:
            return False
        try:
            path.write_text("\n".join([*lines, f"{entry.key}\t{entry.name}"]), encoding="utf-8")
        except OSError as error:
            raise TrackingError(f"notebook: {error}") from error
        return True


def names(path: Path) -> list[str]:
    return [line.split("\t")[1] for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_finished_study_is_logged_cell_by_cell_and_only_once(finished: Path, tmp_path: Path) -> None:
    tracker = Notebook(target=str(tmp_path / "notes"))
    assert log_finished(finished, [tracker]) == 5
    assert names(tmp_path / "notes") == [
        "pairs=30, hidden=4, seed 0",
        "pairs=30, hidden=8, seed 0",
        "pairs=60, hidden=4, seed 0",
        "pairs=60, hidden=8, seed 0",
        "study tiny",
    ]
    assert log_finished(finished, [tracker]) == 0
    assert log_finished(sorted((finished / "cells").iterdir())[0], [tracker]) == 0


def test_cells_are_logged_as_they_end(tmp_path: Path) -> None:
    loaded = load_study(study(matrix={"adversary.injection.pairs": [30, 40]}, claims=[]))
    notes, root = tmp_path / "notes", tmp_path / "out"
    watcher = TrackingWatcher(
        QuietWatcher(), [Notebook(target=str(notes))], root=root, group=loaded.name, names=unit_names(loaded)
    )
    run_study(loaded, StudyDirectory(root), watcher, serial=True)
    assert names(notes) == ["pairs=30, seed 0", "pairs=40, seed 0"]


def test_a_tracker_that_fails_stops_no_cell(tmp_path: Path) -> None:
    loaded = load_study(study(matrix={"adversary.injection.pairs": [30]}, claims=[]))
    tracker = Notebook(target=str(tmp_path))  # a folder
    root = tmp_path / "out"
    watcher = TrackingWatcher(QuietWatcher(), [tracker], root=root, group=loaded.name, names={})
    results = run_study(loaded, StudyDirectory(root), watcher, serial=True)
    assert [cell.status for cell in results.cells] == ["ok"]
    with pytest.raises(TrackingError, match="the results are safe, 'fedleak track "):
        log_finished(root, [tracker])


@pytest.mark.parametrize("wanted", ["tensorbord=x", "", "=x"])
def test_unknown_trackers_are_refused(wanted: str) -> None:
    with pytest.raises(InputError, match="expected KIND or KIND=TARGET; mlflow, tensorboard, wandb"):
        chosen_trackers([wanted])


def test_the_command_line_logs_a_study_while_it_runs_and_afterwards(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    file, board = write_study(tmp_path), tmp_path / "board"
    outcome = command(
        capsys, "study", file, "--out", copied, "--serial", "--quiet", "--track", f"tensorboard={board}", "--set",
        "claims=[]", "--set", "figure=null",
    )  # fmt: skip
    assert outcome.code == 0
    assert len(list((board / "tiny").iterdir())) == 5
    assert command(capsys, "track", copied, "--to", f"tensorboard={board}").out.strip() == f"{copied}: 0 logged"
    assert command(capsys, "track", tmp_path, "--to", f"tensorboard={board}").code == 2


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("mlflow=postgresql://me:secret@localhost/runs", ("driver of this database is missing", "nothing answers")),
        ("mlflow=http://127.0.0.1:9", ("nothing answers at 127.0.0.1:9",)),
        ("mlflow=sqlite:///.", ("is a folder; expected a file",)),
        ("mlflow=" + "x" * 300, ("File name too long",)),
        ("mlflow=nonsense://nowhere", ("nonsense",)),
        ("tensorboard=" + "x" * 300, ("File name too long",)),
        ("tensorboard=file", ("is a file; expected a folder",)),
        ("wandb=file", ("is a file; expected a folder", "not installed")),
        ("comet=x", ("expected KIND or KIND=TARGET; mlflow, tensorboard, wandb",)),
    ],
)
@pytest.mark.parametrize("option", ["--track", "--to"])
def test_a_target_that_cannot_be_used_is_refused_within_seconds_and_before_any_work(
    target: str,
    reason: tuple[str, ...],
    option: str,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    begun = time.monotonic()
    if option == "--to":
        outcome = command(capsys, "track", finished, "--to", target)
    else:
        outcome = command(capsys, "run", write_scenario(tmp_path), "--out", "out", "--track", target)
    assert time.monotonic() - begun < 30
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"{option}: got ")
    assert any(text in outcome.errors[0] for text in reason), outcome.errors
    assert "secret" not in outcome.err
    assert not Path("out").exists()
