"""What an attack leaves on disk as it goes on, and when it is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fedleak.errors import InputError
from fedleak.stages.attack.record import RECORD, PartFiles, check_files, finish, load_images, load_record
from tests.stages.score.builders import attempt, failure, record

IMAGES = {row: torch.full((1, 1, 2, 2), float(row)) for row in range(4)}


def begun(folder: Path) -> PartFiles:
    """Two parts: rows 0 and 1, of which the second failed, and row 2."""
    parts = PartFiles(folder, "same")
    parts.write([attempt(0), failure(1, "no")], {0: IMAGES[0]})
    parts.write([attempt(2)], {2: IMAGES[2]})
    return parts


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_attack_goes_on_after_its_last_part(tmp_path: Path) -> None:
    begun(tmp_path)
    parts = PartFiles(tmp_path, "same")
    assert {row: found.status for row, found in parts.attempts.items()} == {0: "ok", 1: "failed", 2: "ok"}
    parts.write([attempt(3)], {3: IMAGES[3]})
    assert [name for name in names(tmp_path) if name.endswith("json")] == [f"part-{i:05d}.json" for i in range(3)]
    assert {row: tensor.unique().tolist() for row, tensor in load_images(tmp_path).items()} == {
        0: [0.0],
        2: [2.0],
        3: [3.0],
    }


def test_parts_of_another_attack_are_removed(tmp_path: Path) -> None:
    begun(tmp_path)
    assert PartFiles(tmp_path, "other").attempts == {}
    assert names(tmp_path) == []


def test_a_part_without_images_is_one(tmp_path: Path) -> None:
    PartFiles(tmp_path, "same").write([failure(0, "no")], {})
    assert PartFiles(tmp_path, "same").attempts[0].reason == "no"
    assert load_images(tmp_path) == {}


def test_images_whose_writer_was_killed_are_removed(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "part-00001.json").unlink()
    assert list(PartFiles(tmp_path, "same").attempts) == [0, 1]
    assert names(tmp_path) == ["part-00000.json", "part-00000.safetensors"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part-00001.json", ""),
        ("part-00001.json", "{"),
        ("part-00001.json", "[]"),
        ("part-00001.json", "null"),
        ("part-00001.json", '{"fingerprint": "same"}'),
        ("part-00001.json", '{"fingerprint": "same", "attempts": 1}'),
        ("part-00001.json", '{"fingerprint": "same", "attempts": [{"row": 2}]}'),
        ("part-00001.safetensors", ""),
        ("part-00001.safetensors", "nothing"),
    ],
)
def test_a_damaged_part_is_done_again(tmp_path: Path, name: str, content: str) -> None:
    begun(tmp_path)
    (tmp_path / name).write_text(content)
    assert list(PartFiles(tmp_path, "same").attempts) == [0, 1]
    assert names(tmp_path) == ["part-00000.json", "part-00000.safetensors"]


def test_an_attack_is_done_once_its_record_is_there(tmp_path: Path) -> None:
    assert load_record(tmp_path) is None
    done = record("dlg", attempt(0, curve={"matching_loss": [1.0, 0.5]}), failure(3, "no"))
    finish(tmp_path, done)
    assert load_record(tmp_path) == done
    assert done.rows == {0, 3}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"attack": "dlg"}', b'{"attack": "\xff"}', b"[" * 100_000])
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(InputError, match=r"attack.json.*not a readable record.*remove .* and attack again"):
        load_record(tmp_path)


@pytest.mark.parametrize("name", ["part-00000.json", "part-00001.safetensors", "snapshots.safetensors", RECORD])
@pytest.mark.parametrize("change", ["flip", "remove"])
def test_a_file_that_was_changed_after_the_attack_is_named(tmp_path: Path, name: str, change: str) -> None:
    begun(tmp_path)
    (tmp_path / "snapshots.safetensors").write_bytes(b"estimates")
    finish(tmp_path, record("dlg", attempt(0), failure(1, "no"), attempt(2)))
    check_files(tmp_path)
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    words = "it was changed after it was written"
    if change == "remove":
        path.unlink()
        words = "the file is missing"
    with pytest.raises(InputError, match=f"{words}; remove .* and attack again") as caught:
        check_files(tmp_path)
    assert caught.value.value == str(path)


def test_inverted_images_of_an_unfinished_attack_are_done_again(tmp_path: Path) -> None:
    begun(tmp_path)
    save_file({"00000002": 1 - IMAGES[2]}, tmp_path / "part-00001.safetensors")
    assert list(PartFiles(tmp_path, "same").attempts) == [0, 1]


def test_a_record_is_plain_json(tmp_path: Path) -> None:
    finish(tmp_path, record("dlg", attempt(0, curve={"matching_loss": [float("inf")]})))
    assert json.loads((tmp_path / RECORD).read_text())["attempts"][0]["curve"] == {"matching_loss": ["Infinity"]}
    loaded = load_record(tmp_path)
    assert loaded is not None
    assert loaded.attempts[0].curve == {"matching_loss": [float("inf")]}
