from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.scenarios import command


def test_a_folder_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = command(capsys, "serve", str(tmp_path / "none"))
    assert found.code == 2
    assert "there is no such folder; expected one that holds runs or studies" in found.err


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = command(capsys, "serve", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert found.code == 2
    assert "choose another port" in found.err


def test_it_listens_on_the_loopback_interface_only(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[tuple[str, int]] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: bound.append(sockets[0].getsockname()))
    found = command(capsys, "serve", str(tmp_path), "--port", "0")
    assert found.code == 0
    assert [host for host, _ in bound] == ["127.0.0.1"]
    assert found.out == f"http://127.0.0.1:{bound[0][1]}/ shows {tmp_path}; Ctrl-C ends it\n"
