"""Targets that cannot be used are found within seconds."""

from __future__ import annotations

import socket
import sqlite3
import time
from pathlib import Path

import pytest

from fedleak.trackers.reach import hidden, unreachable, unwritable


@pytest.fixture
def closed() -> int:
    """A port at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_server_that_is_not_there(closed: int) -> None:
    reason = unreachable(f"http://127.0.0.1:{closed}")
    assert reason.startswith(f"nothing answers at 127.0.0.1:{closed} (")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert unreachable(f"http://127.0.0.1:{server.getsockname()[1]}") == ""


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mssql"])
def test_a_database_without_a_driver_names_it(scheme: str, closed: int) -> None:
    begun = time.monotonic()
    reason = unreachable(f"{scheme}://me:secret@127.0.0.1:{closed}/runs")
    assert reason.startswith(("the driver of this database is missing (No module named", "nothing answers at 127"))
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://", "the address names no host"),
        ("http://x:port", "it is not an address"),
        ("http://[x", "it is not an address"),
        ("sqlite:///" + "x" * 300, "File name too long"),
        ("postgresql+nonsense://h/d", "the database cannot be used"),
    ],
)
def test_addresses_that_are_none(address: str, reason: str) -> None:
    assert unreachable(address).startswith(reason)


def test_a_folder_or_another_file_is_no_database(tmp_path: Path) -> None:
    assert "is a folder; expected a file for the SQLite database" in unreachable(f"sqlite:///{tmp_path}")
    (tmp_path / "notes.txt").write_text("not a database" * 100)
    assert "file is not a database" in unreachable(f"sqlite:///{tmp_path}/notes.txt")
    assert "is a file; expected a folder" in unreachable(f"sqlite:///{tmp_path}/notes.txt/mlflow.db")
    assert unreachable(f"sqlite:///{tmp_path}/new/mlflow.db") == ""
    sqlite3.connect(tmp_path / "old.db").close()
    assert unreachable(f"sqlite:///{tmp_path}/old.db") == ""
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "old.db"}, "nothing is made"


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert unwritable(tmp_path / "a" / "b") == ""
    assert unwritable(Path("x" * 300)) == "File name too long"
    assert unwritable(tmp_path / "file" / "b").endswith("is a file; expected a folder")


def test_passwords_are_not_shown() -> None:
    assert hidden("postgresql://me:secret@h/d") == "postgresql://me:***@h/d"
    assert hidden("runs/tensorboard") == "runs/tensorboard"
    assert hidden("http://[x") == "http://[x"
