"""A finished transcript, as attacks read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fedleak.errors import InputError
from fedleak.transcript.manifest import MANIFEST, PairsRecord, file_digest
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import model_file, sent_file, statistics_file
from tests.transcript.manifests import manifest, update

Change = Callable[[Path], None]
UPDATES = np.arange(20, dtype=np.float32).reshape(2, 10)
PAIRS = PairsRecord(count=3, images_per_pair=2, model_versions=(0,))


def transcript(folder: Path, change: Change | None = None, **changes: Any) -> Path:
    """Two updates, three models, three pairs of four public images; then a change, with checksums that fit."""
    for name in ("models", "pairs", "public", "sent", "statistics"):
        (folder / name).mkdir()
    np.save(folder / "updates.npy", UPDATES)
    for version in range(3):
        save_file({"1.weight": torch.full((2, 4), float(version))}, folder / model_file(version))
    np.save(folder / "pairs/updates.npy", np.ones((3, 10), np.float16))
    np.save(folder / "pairs/index.npy", np.array([[0, 1], [2, 3], [3, 0]]))
    np.save(folder / "public/images.npy", np.full((4, 1, 2, 2), 7, np.uint8))
    np.save(folder / "public/labels.npy", np.array([0, 1, 1, 0]))
    if change is not None:
        change(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    checksums = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    found = manifest(**({"pairs": PAIRS, "checksums": checksums} | changes))
    (folder / MANIFEST).write_text(found.model_dump_json())
    return folder


def test_everything_is_read_as_it_was_written(tmp_path: Path) -> None:
    reader = TranscriptReader(transcript(tmp_path))
    assert reader.update(1).tolist() == UPDATES[1].tolist()
    assert reader.update(1).dtype == torch.float32
    assert reader.model(2)["1.weight"].tolist() == [[2.0] * 4] * 2
    images, labels = reader.public()
    assert (images.shape, images.dtype, labels.tolist()) == ((4, 1, 2, 2), np.uint8, [0, 1, 1, 0])
    assert reader.pair_index().tolist() == [[0, 1], [2, 3], [3, 0]]
    rows = reader.pair_updates().read(np.array([2, 0]))
    assert (rows.shape, rows.dtype) == ((2, 10), np.float16)


def test_an_update_is_read_anew_every_time(tmp_path: Path) -> None:
    reader = TranscriptReader(transcript(tmp_path))
    reader.update(0).zero_()
    assert reader.update(0).tolist() == UPDATES[0].tolist()


def test_what_single_clients_were_sent_and_saw(tmp_path: Path) -> None:
    def more(folder: Path) -> None:
        save_file({"1.weight": torch.full((2, 4), 9.0)}, folder / sent_file(1, 1))
        save_file({"layer.mean": torch.ones(3)}, folder / statistics_file(0))

    reader = TranscriptReader(transcript(tmp_path, more))
    sent = reader.sent(1, 1)
    assert sent is not None
    assert sent["1.weight"].unique().tolist() == [9.0]
    assert reader.sent(2, 1) is None, "the broadcast model"
    assert list(reader.statistics(0)) == ["layer.mean"]
    assert reader.statistics(1) == {}


@pytest.mark.parametrize("name", [model_file(1), sent_file(1, 1), statistics_file(0)])
def test_tensors_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    reader = TranscriptReader(transcript(tmp_path, lambda folder: (folder / name).write_bytes(b"nothing") and None))
    read = {"models": lambda: reader.model(1), "sent": lambda: reader.sent(1, 1)}
    with pytest.raises(InputError, match="not a safetensors file") as caught:
        read.get(name.split("/")[0], lambda: reader.statistics(0))()
    assert caught.value.value == name


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"version-00009.safetensors'; the file is not part of the transcript"):
        TranscriptReader(transcript(tmp_path)).model(9)


def test_without_public_images(tmp_path: Path) -> None:
    def fewer(folder: Path) -> None:
        for name in ("public/images.npy", "public/labels.npy", "pairs/updates.npy", "pairs/index.npy"):
            (folder / name).unlink()

    reader = TranscriptReader(transcript(tmp_path, fewer, pairs=None))
    assert not reader.has_public_images
    with pytest.raises(InputError, match="the file is not part of the transcript"):
        reader.public()


def test_checksums_need_not_be_verified_again(tmp_path: Path) -> None:
    folder = transcript(tmp_path)
    np.save(folder / "updates.npy", UPDATES + 1)
    with pytest.raises(InputError, match="its checksum does not match"):
        TranscriptReader(folder)
    assert TranscriptReader(folder, verify=False).update(0).tolist() == (UPDATES[0] + 1).tolist()


def saving(name: str, array: np.ndarray) -> Change:
    """Puts another array in place of one."""
    return lambda folder: np.save(folder / name, array)


DAMAGES: list[tuple[Change, str, str]] = [
    (
        saving("updates.npy", UPDATES[:1]),
        "updates.npy",
        r"expected float32 of shape \(2, 10\), found float32 of \(1, 10",
    ),
    (saving("updates.npy", UPDATES.astype(np.float64)), "updates.npy", "found float64"),
    (saving("pairs/updates.npy", np.ones((3, 9), np.float32)), "pairs/updates.npy", "float32 or float16"),
    (saving("pairs/index.npy", np.zeros((3, 1), np.int64)), "pairs/index.npy", r"expected int64 of shape \(3, 2\)"),
    (saving("pairs/index.npy", np.full((3, 2), 4)), "pairs/index.npy", "there are only 4 public images"),
    (saving("pairs/index.npy", np.full((3, 2), -1)), "pairs/index.npy", "there are only 4 public images"),
    (saving("public/labels.npy", np.zeros(3, np.int64)), "public/labels.npy", r"expected int64 of shape \(4,\)"),
    (saving("public/images.npy", np.zeros((4, 2, 2), np.uint8)), "public/images.npy", "expected uint8"),
    (lambda folder: (folder / model_file(1)).unlink(), model_file(1), "the file is not part of the transcript"),
]


@pytest.mark.parametrize("case", range(len(DAMAGES)))
def test_arrays_must_fit_the_manifest(tmp_path: Path, case: int) -> None:
    change, name, reason = DAMAGES[case]
    with pytest.raises(InputError, match=reason) as caught:
        TranscriptReader(transcript(tmp_path, change))
    assert caught.value.value == name


def test_a_late_update_needs_its_own_model_too(tmp_path: Path) -> None:
    found = manifest()
    late = found.rounds[1].model_copy(update={"updates": (update(1, model_version=0),)})
    TranscriptReader(transcript(tmp_path, rounds=(found.rounds[0], late)))


def test_a_file_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_text("x")
    folder = transcript(tmp_path / "inside", checksums={"../secret": file_digest(tmp_path / "secret")})
    with pytest.raises(InputError, match="must be inside the transcript"):
        TranscriptReader(folder)
