"""The commands of audits: what is wrong is refused before anything runs, and nothing is overwritten."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedleak.audit.recorder import RecordedServerApp
from fedleak.audit.watcher import RecordedClientApp
from fedleak.models.factory import CONSENT
from tests.audit.flower import APP, CLIENT, SERVER, importable, run
from tests.scenarios import command

Capsys = pytest.CaptureFixture[str]
MODEL = "smallapp.task:Net"


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_the_code_of_the_network_runs_only_with_the_users_word(capsys: Capsys, tmp_path: Path) -> None:
    outcome = command(capsys, "audit", "record", str(APP), "--model", MODEL)
    assert outcome.code == 2
    assert outcome.errors == [
        f"--model: got {MODEL!r}; this is code outside of fedleak; "
        f"if you trust it, set the environment: {CONSENT}={MODEL}"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "APP_DIR: got 'nowhere'; it has no pyproject.toml"),
        (
            [str(APP), "--model", MODEL, "--input-shape", "3,32"],
            "--input-shape: got '3,32'; expected channels,height,width",
        ),
        ([str(APP), "--model", MODEL, "--mean", "half"], "--mean: got 'half'; expected numbers separated by commas"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    capsys: Capsys, tmp_path: Path, arguments: list[str], message: str
) -> None:
    outcome = command(capsys, "audit", "record", *arguments)
    assert outcome.code == 2
    assert outcome.errors[0].startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_a_recording_is_not_recorded_over(capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "audit" / "recording").mkdir(parents=True)
    outcome = command(capsys, "audit", "record", str(APP))
    assert outcome.code == 2
    assert "it holds a recording or a run; --force replaces it" in outcome.errors[0]


def test_a_recording_becomes_a_run_once_the_network_is_named(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine" / "recording"
    folder.mkdir(parents=True)
    with importable():
        run(RecordedServerApp(SERVER, str(folder)), RecordedClientApp(CLIENT, str(folder)), tmp_path / "x.npz")
        outcome = command(capsys, "audit", "record", "mine")
        assert outcome.code == 0
        assert f"{CONSENT}=MODULE:NAME fedleak audit record mine --model MODULE:NAME" in outcome.out
        monkeypatch.setenv(CONSENT, MODEL)
        outcome = command(capsys, "audit", "record", "mine", "--model", MODEL)
    assert outcome.code == 0, outcome.err
    assert f"run: mine; attack it: {CONSENT}={MODEL} fedleak attack mine" in outcome.out.replace("\n", "")
    assert (tmp_path / "mine" / "truth" / "updates.json").is_file()


def test_init_writes_a_commented_study_that_validate_takes_and_never_overwrites(capsys: Capsys, tmp_path: Path) -> None:
    assert command(capsys, "audit", "init", "mine.yaml", "--clients", "5", "--batch-size", "2").code == 0
    text = (tmp_path / "mine.yaml").read_text()
    assert "  clients: 5\n" in text
    assert "    batch_size: 2\n" in text
    assert "# an honest but curious server" in text
    for budget in ([], ["--budget", "try"]):
        outcome = command(capsys, "validate", "mine.yaml", *budget)
        assert outcome.code == 0
        assert "valid, 3 cells" in outcome.out
    outcome = command(capsys, "audit", "init", "mine.yaml")
    assert outcome.code == 2
    assert "it exists already" in outcome.errors[0]
    assert (tmp_path / "mine.yaml").read_text() == text


def test_init_takes_a_folder_of_images_and_a_network_of_ones_own(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, MODEL)
    (tmp_path / "my images").mkdir()
    with importable():
        outcome = command(capsys, "audit", "init", "a.yaml", "--dataset", "./my images", "--model", MODEL)
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "a.yaml").read_text()
    assert 'dataset: {kind: image_folder, root: "./my images"}' in text
    assert f'model: {{kind: factory, path: "{MODEL}"}}' in text


def test_init_leaves_no_file_that_would_be_refused(capsys: Capsys, tmp_path: Path) -> None:
    outcome = command(capsys, "audit", "init", "a.yaml", "--model", "lenett")
    assert outcome.code == 2
    assert "did you mean 'lenet'?" in outcome.errors[0]
    assert list(tmp_path.iterdir()) == []
