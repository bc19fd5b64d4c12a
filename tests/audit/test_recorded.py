"""A recording may come from somebody else: what is damaged or foreign is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedleak.audit.recorded import Recorded
from fedleak.audit.recorder import ARRAYS, FORMAT, MESSAGES
from fedleak.errors import InputError

START: dict[str, Any] = {"event": "start", **FORMAT}
SENT: dict[str, Any] = {
    "event": "sent", "message": "m", "node": 7, "group": "1", "call": 1,
    "arrays": {"arrays": "0" * 32}, "metrics": {}, "config": {},
}  # fmt: skip


def write(folder: Path, *lines: Any, end: str = "\n") -> Path:
    folder.mkdir(exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / MESSAGES).write_text("\n".join(texts) + end)
    return folder


def test_a_line_that_was_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    found = Recorded.read(write(tmp_path, START, SENT, '{"event": "sen', end=""))
    assert [message.node for message in found.sent] == [7]
    assert found.ending is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([SENT], "its first line is not that of a recording"),
        ([START | {"version": 2}], "line 1.*version: Input should be 1"),
        ([START, SENT | {"arrays": {"arrays": "../../secret"}}], "line 2.*arrays.arrays: String should match pattern"),
        ([START, SENT | {"node": -1}], "line 2.*node"),
        ([START, "no json"], "line 2.*not a line of a recording"),
        ([START, {"event": "shell"}], "line 2.*does not match any of the expected tags"),
    ],
)
def test_a_foreign_line_is_refused_with_its_number(tmp_path: Path, lines: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Recorded.read(write(tmp_path, *lines))


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'fedleak audit record' writes it"):
        Recorded.read(tmp_path)


def test_arrays_are_never_unpickled(tmp_path: Path) -> None:
    found = Recorded.read(write(tmp_path, START, SENT))
    (tmp_path / ARRAYS).mkdir()
    path = tmp_path / ARRAYS / f"{'0' * 32}.npz"
    with pytest.raises(InputError, match="not a readable array file"):
        found.arrays("0" * 32)
    with path.open("wb") as file:
        np.savez(file, names=np.array(["w"]), **{"0": np.array([{}], dtype=object)})
    with pytest.raises(InputError, match=r"not a readable array file .*allow_pickle=False"):
        found.arrays("0" * 32)
    path.write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(InputError, match="not a readable array file"):
        found.arrays("0" * 32)
