from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from fedleak.records import Record, write_atomically


class Pair(Record):
    """An example."""

    name: str
    value: float = 0.0


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.1])
def test_every_number_is_read_back(value: float) -> None:
    text = Pair(name="a", value=value).model_dump_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert Pair.model_validate_json(text).value == value


def test_what_is_not_a_number_is_read_back() -> None:
    text = Pair(name="a", value=math.nan).model_dump_json()
    assert text == '{"name":"a","value":"NaN"}'
    assert math.isnan(Pair.model_validate_json(text).value)


def test_a_record_is_frozen_and_knows_its_keys() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Pair(name="a").name = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Pair.model_validate({"name": "a", "other": 1})


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for text in ("old", "new: \u00e9"):
        write_atomically(path, text)
    assert path.read_bytes() == b"new: \xc3\xa9"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, 3)  # type: ignore[arg-type]
    assert path.read_text() == "old"


def test_half_a_character_is_written_as_a_question_mark(tmp_path: Path) -> None:
    write_atomically(tmp_path / "log", "a\ud800b")
    assert (tmp_path / "log").read_text() == "a?b"


def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically(Path("/dev/null"), "text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_directory_is_no_file_to_write(path: str) -> None:
    with pytest.raises(IsADirectoryError):
        write_atomically(Path(path), "text")
