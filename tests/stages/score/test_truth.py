from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.errors import InputError
from fedleak.stages.score import truth as module
from fedleak.stages.score.truth import TruthReader, client_folder, seal_transcript, write_truth

IMAGES = [np.full((3, 1, 2, 2), 51, np.uint8), np.full((2, 1, 2, 2), 255, np.uint8)]
"""Client 0: three images of level 0.2; client 1: two of level 1."""
LABELS = [np.array([4, 5, 6]), np.array([7, 8])]
DEEP = b"[" * 100_000
ROWS = {0: {0: [2, 0]}, 1: {0: [1], 1: [0, 1]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_truth(tmp_path / "truth", images=IMAGES, labels=LABELS, rows=ROWS)
    return tmp_path / "truth"


def test_files_are_the_documented_ones(folder: Path) -> None:
    assert (folder / "updates.json").read_text() == '{"0": {"0": [2, 0]}, "1": {"0": [1], "1": [0, 1]}}'
    assert np.array_equal(np.load(client_folder(folder, 1) / "images.npy"), IMAGES[1])
    assert np.array_equal(np.load(folder / "00000" / "labels.npy"), LABELS[0])


def test_what_an_earlier_run_left_is_removed(folder: Path) -> None:
    write_truth(folder, images=IMAGES[:1], labels=LABELS[:1], rows={0: {0: [1]}})
    assert sorted(path.name for path in folder.iterdir()) == ["00000", "checksums.json", "updates.json"]
    assert json.loads((folder / "updates.json").read_text()) == {"0": {"0": [1]}}


def test_a_batch_by_hand(folder: Path) -> None:
    batch = TruthReader(folder).batch(0)
    assert batch.labels.tolist() == [6, 4]
    torch.testing.assert_close(batch.images, torch.full((2, 1, 2, 2), 0.2))
    assert batch.places == ((0, 0), (0, 1))


def test_a_sum_holds_the_batches_of_its_clients_in_order(folder: Path) -> None:
    batch = TruthReader(folder).batch(1)
    assert batch.labels.tolist() == [5, 7, 8]
    assert batch.images.flatten(1).mean(dim=1).tolist() == pytest.approx([0.2, 1.0, 1.0])
    assert batch.places == ((0, 0), (1, 0), (1, 1))


def test_a_client_that_dropped_out_of_a_sum_is_left_out(folder: Path) -> None:
    batch = TruthReader(folder).batch(1, (1,))
    assert batch.labels.tolist() == [7, 8]
    assert batch.places == ((1, 0), (1, 1))


def test_peers_take_one_image_of_each_client_in_turn(folder: Path) -> None:
    peers = TruthReader(folder).peers()
    assert peers.labels.tolist() == [4, 7, 5, 8, 6]
    assert peers.images.flatten(1).mean(dim=1).tolist() == pytest.approx([0.2, 1.0, 0.2, 1.0, 0.2])


def test_peers_are_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PEERS", 3)
    assert TruthReader(folder).peers().labels.tolist() == [4, 7, 5]


@pytest.mark.parametrize("text", [None, "{"])
def test_without_readable_truth_nothing_is_scored(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "updates.json").write_text(text)
    with pytest.raises(InputError, match="no readable ground truth"):
        TruthReader(tmp_path)


@pytest.mark.parametrize("name", ["updates.json", "00000/images.npy", "00001/labels.npy"])
def test_what_was_changed_on_disk_is_named(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="it was changed after it was written; restore it, or record") as caught:
        TruthReader(folder).batch(1)
    assert caught.value.value == str(path)


def test_truth_written_by_hand_has_no_checksums_and_is_read(folder: Path) -> None:
    (folder / "checksums.json").unlink()
    np.save(client_folder(folder, 0) / "images.npy", 255 - IMAGES[0])
    reader = TruthReader(folder)
    assert not reader.sealed
    torch.testing.assert_close(reader.batch(0).images, torch.full((2, 1, 2, 2), 0.8))


def by_hand(folder: Path, name: str, content: bytes) -> TruthReader:
    """The truth without checksums, one file replaced."""
    (folder / "checksums.json").unlink()
    (folder / name).write_bytes(content)
    return TruthReader(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"0": []}',
        b'{"a": {}}',
        b'{"0": {"0": ["x"]}}',
        b'{"0": {}, "0": {}}',
        b"[" * 99999,
    ],
)
def test_rows_that_cannot_be_read_are_refused(folder: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="no readable ground truth"):
        by_hand(folder, "updates.json", content)


@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"1": {}}', b'{"1": {"0": [1]}}', b'{"1": {"0": [-1], "1": [0]}}', b'{"1": {"0": [3], "1": [0]}}'],
)
def test_rows_that_name_no_images_are_refused(folder: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"updates.json"):
        by_hand(folder, "updates.json", content).batch(1, (0, 1))


@pytest.mark.parametrize("name", ["00000/images.npy", "00000/labels.npy"])
@pytest.mark.parametrize("content", [b"", b"nothing", b"\x93NUMPY\x01\x00v\x00{'descr': '|u1'}"])
def test_arrays_that_cannot_be_read_are_named(folder: Path, name: str, content: bytes) -> None:
    with pytest.raises(InputError, match=f"{name}.*not a readable array"):
        by_hand(folder, name, content).batch(0)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("images.npy", np.zeros((3, 2, 2), np.uint8)),
        ("images.npy", np.zeros((3, 1, 2, 2), np.float64)),
        ("images.npy", np.zeros((2, 1, 2, 2), np.uint8)),
        ("labels.npy", np.zeros(3, np.float32)),
        ("labels.npy", np.array([0, 1, -1])),
        ("labels.npy", np.array([0, 1, 2**40])),
    ],
)
def test_arrays_that_are_no_images_or_labels_are_refused(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / "checksums.json").unlink()
    np.save(client_folder(folder, 0) / name, array)
    with pytest.raises(InputError, match=r"00000'?; its (images|labels) are"):
        TruthReader(folder).batch(0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ('{"mean": [0.5, 0.4]}', "transcript.mean.1: got 0.4; it was 0.5 when the federation ended"),
        ('{"mean": [0.5]}', "transcript.mean: got [0.5]; it was [0.5, 0.5] when"),
        ('{"mean": [0.5, 0.5], "extra": {"a": 1}}', "transcript.extra: got {'a': 1}; it was None when"),
        ('{"mean": [0.5, 0.5] }', "manifest.json: got {'mean': [0.5, 0.5]}; it was {'mean': [0.5, 0.5]} when"),
    ],
)
def test_what_was_changed_in_a_transcript_after_the_federation_is_named(
    folder: Path, tmp_path: Path, changed: str, words: str
) -> None:
    (tmp_path / "manifest.json").write_text('{"mean": [0.5, 0.5]}')
    seal_transcript(folder, tmp_path)
    TruthReader(folder).check_transcript(tmp_path)
    (tmp_path / "manifest.json").write_text(changed)
    with pytest.raises(InputError) as caught:
        TruthReader(folder).check_transcript(tmp_path)
    assert words in str(caught.value)
    assert "restore it, or record the federation anew" in str(caught.value)
