"""Writing a transcript, killed at any moment."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedleak.errors import FederationError
from fedleak.transcript.layout import Layout
from fedleak.transcript.manifest import FederationRecord, RoundRecord, TrainingRecord, UpdateRecord
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import JOURNAL, TranscriptWriter, model_file

LAYOUT = Layout.of([("w", torch.empty(2, 2)), ("b", torch.empty(3))])
FEDERATION = FederationRecord(
    protocol="fedsgd",
    model={"kind": "mlp", "hidden": [1]},
    input_shape=(1, 2, 2),
    classes=2,
    class_names=("a", "b"),
    mean=(0.5,),
    std=(0.5,),
)
TRAINING = TrainingRecord(
    local_learning_rate=0.1, local_epochs=1, batch_size=1, samples=None, batch_norm="eval", postprocess=()
)


def record(number: int) -> RoundRecord:
    """Round ``number`` with one update."""
    update = UpdateRecord(row=number - 1, round=number, client=1, model_version=number - 1, samples=1, status="ok")
    return RoundRecord(round=number, accuracy=0.1 + number / 3, loss=1 / 3, replies=2, updates=(update,))


def values(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The update of round ``number``."""
    return np.arange(7, dtype=np.float32) + number


def write_rounds(writer: TranscriptWriter, rounds: int, *, until: int | None = None) -> None:
    """Rounds that are not there yet."""
    writer.allocate(updates=rounds, values=LAYOUT.size)
    for number in range(len(writer.rounds) + 1, (until or rounds) + 1):
        writer.save_model(number - 1, {"w": torch.full((2, 2), float(number))})
        writer.save_model(number, {"w": torch.full((2, 2), float(number + 1))})
        writer.write_update(number - 1, values(number))
        writer.finish_round(record(number))


def finish(writer: TranscriptWriter) -> None:
    """Write the manifest."""
    writer.finish(parameters=LAYOUT, buffers=(), pairs=None, training=TRAINING, federation=FEDERATION)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    writer = TranscriptWriter(tmp_path / "t", "f" * 64)
    write_rounds(writer, 3)
    finish(writer)
    assert not (tmp_path / "t" / JOURNAL).exists()
    reader = TranscriptReader(tmp_path / "t")
    assert reader.manifest.rounds == (record(1), record(2), record(3))
    assert reader.update(1).tolist() == values(2).tolist()
    assert reader.model(3)["w"].tolist() == [[4, 4], [4, 4]]
    assert not reader.has_public_images


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_journal_cut_anywhere_is_continued(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "t"
        write_rounds(TranscriptWriter(folder, "f"), 3, until=2)
        journal = (folder / JOURNAL).read_bytes()
        cut = data.draw(st.integers(0, len(journal)))
        garbage = data.draw(st.sampled_from([b"", b"\0\0\0", b'{"rou', b"\xff\xfe\n", b"[1]\n"]))
        (folder / JOURNAL).write_bytes(journal[:cut] + garbage)
        writer = TranscriptWriter(folder, "f")
        assert writer.rounds == [record(number) for number in range(1, len(writer.rounds) + 1)]
        write_rounds(writer, 3)
        finish(writer)
        assert TranscriptReader(folder).manifest.rounds == (record(1), record(2), record(3))
        assert [TranscriptReader(folder).update(row).tolist() for row in range(3)] == [
            values(number).tolist() for number in (1, 2, 3)
        ]


def test_another_fingerprint_starts_over(tmp_path: Path) -> None:
    write_rounds(TranscriptWriter(tmp_path / "t", "one"), 2, until=1)
    writer = TranscriptWriter(tmp_path / "t", "two")
    assert writer.rounds == []
    assert not (tmp_path / "t/updates.npy").exists()
    assert json.loads((tmp_path / "t" / JOURNAL).read_text())["fingerprint"] == "two"


def test_another_version_of_fedleak_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rounds(TranscriptWriter(tmp_path / "t", "one"), 2, until=1)
    assert len(TranscriptWriter(tmp_path / "t", "one").rounds) == 1
    monkeypatch.setattr("fedleak.transcript.writer.__version__", "99.0")
    assert TranscriptWriter(tmp_path / "t", "one").rounds == []


def test_restart_starts_over(tmp_path: Path) -> None:
    write_rounds(TranscriptWriter(tmp_path / "t", "one"), 2, until=1)
    assert TranscriptWriter(tmp_path / "t", "one", restart=True).rounds == []


@pytest.mark.parametrize("name", ["updates.npy", model_file(1)])
def test_a_journal_without_its_data_starts_over(tmp_path: Path, name: str) -> None:
    write_rounds(TranscriptWriter(tmp_path / "t", "one"), 2, until=1)
    (tmp_path / "t" / name).unlink()
    assert TranscriptWriter(tmp_path / "t", "one").rounds == []


def test_pairs_are_counted_as_they_come(tmp_path: Path) -> None:
    index = np.arange(10, dtype=np.int64).reshape(10, 1)
    pairs = np.random.default_rng(0).normal(size=(10, 7)).astype(np.float32)
    writer = TranscriptWriter(tmp_path / "t", "one")
    writer.allocate_pairs(index, values=7, dtype="float16")
    writer.write_pairs(0, pairs[:4])
    again = TranscriptWriter(tmp_path / "t", "one")
    assert again.pairs_done == 4
    again.allocate_pairs(index, values=7, dtype="float16")
    again.write_pairs(4, pairs[4:])
    np.testing.assert_array_equal(np.load(tmp_path / "t/pairs/updates.npy"), pairs.astype(np.float16))


def test_float16_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    writer = TranscriptWriter(tmp_path / "t", "one")
    writer.allocate_pairs(np.zeros((2, 1), dtype=np.int64), values=7, dtype="float16")
    with pytest.raises(FederationError, match=r"set adversary.injection.dtype to float32"):
        writer.write_pairs(0, np.full((2, 7), 1e5, dtype=np.float32))
    assert writer.pairs_done == 0


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_public_images_of_another_range_are_refused(tmp_path: Path, dtype: type) -> None:
    writer = TranscriptWriter(tmp_path / "t", "f" * 64)
    with pytest.raises(TypeError, match="images are uint8, not"):
        writer.save_public(np.ones((1, 1, 2, 2), dtype), np.zeros(1, np.int64))  # type: ignore[arg-type]
