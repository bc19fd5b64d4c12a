"""The copy of an app with a recorder, and the real thing through ``flwr run``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from fedleak.audit.flower_app import PACKAGE, FlowerApp
from fedleak.audit.recorded import Recorded
from fedleak.errors import InputError
from fedleak.models.factory import CONSENT
from tests.audit.flower import APP


def test_the_copy_differs_only_in_its_components(tmp_path: Path) -> None:
    app = FlowerApp.read(APP)
    folder = app.write_recorded(tmp_path, tmp_path / "recording", truth=False)
    before = tomllib.loads((APP / "pyproject.toml").read_text())
    after = tomllib.loads((folder / "pyproject.toml").read_text())
    components = after["tool"]["flwr"]["app"]["components"]
    assert components == {"serverapp": f"{PACKAGE}.server:app", "clientapp": "smallapp.client_app:app"}
    after["tool"]["flwr"]["app"]["components"] = before["tool"]["flwr"]["app"]["components"]
    assert after == before
    for path in (APP / "smallapp").glob("*.py"):
        assert (folder / "smallapp" / path.name).read_bytes() == path.read_bytes()
    assert folder.name == APP.name


def test_clients_are_recorded_only_for_the_truth_and_patterns_of_files_are_kept(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(APP, own)
    text = (own / "pyproject.toml").read_text()
    (own / "pyproject.toml").write_text(
        text.replace('publisher = "tests"', 'publisher = "tests"\nfab-include = ["**/*.py"]')
    )
    folder = FlowerApp.read(own).write_recorded(tmp_path / "copy", tmp_path / "recording", truth=True)
    app = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert app["components"]["clientapp"] == f"{PACKAGE}.client:app"
    assert app["fab-include"] == ["**/*.py", f"{PACKAGE}/**"]
    again = FlowerApp.read(folder)  # what 'flwr run' sends holds the recorder
    assert PACKAGE.encode() in again.bundle


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "it has no pyproject.toml"),
        ("[project]\nname = 'x'", "names no"),
        ("=", "Invalid"),
    ],
)
def test_what_is_no_app_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(InputError, match=words):
        FlowerApp.read(tmp_path)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.mark.slow
def test_the_app_through_flwr_run_gives_the_same_bits_and_can_be_attacked(tmp_path: Path) -> None:
    """Twice through Flower's own engine on Ray, with a SuperLink of its own: with and without the recorder."""
    ports = {"FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(free_port()), "FLWR_LOCAL_CONTROL_API_PORT": str(free_port())}
    environment = os.environ | ports | {"FLWR_HOME": str(tmp_path / "home"), CONSENT: "smallapp.task:Net"}
    record = [sys.executable, "-m", "fedleak", "audit", "record", str(APP), "--out", "audit", "--truth"]
    command = [*record, "--model", "smallapp.task:Net", "--run-config", "out='recorded.npz'"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recorded: 4 training messages, 4 replies" in done.stdout
    assert (tmp_path / "audit" / "truth").is_dir()
    assert len(Recorded.read(tmp_path / "audit" / "recording").sent) == 4
    with socket.socket() as client:  # the SuperLink that Flower started is gone
        assert client.connect_ex(("127.0.0.1", int(ports["FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"]))) != 0
    from fedleak.audit.flower_app import run_app

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name, value in environment.items():
            patch.setenv(name, value)
        run_app(APP, ["--run-config", "out='plain.npz'"], log=tmp_path / "log")
    with np.load(tmp_path / "plain.npz") as plain, np.load(tmp_path / "recorded.npz") as recorded:
        assert [plain[name].tobytes() for name in plain.files] == [recorded[name].tobytes() for name in recorded.files]
