from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.errors import InputError
from fedleak.stages.score import truth as module
from fedleak.stages.score.truth import TruthReader, client_folder, write_truth

IMAGES = [np.full((3, 1, 2, 2), 51, np.uint8), np.full((2, 1, 2, 2), 255, np.uint8)]
"""Client 0: three images of level 0.2; client 1: two of level 1."""
LABELS = [np.array([4, 5, 6]), np.array([7, 8])]
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
    assert sorted(path.name for path in folder.iterdir()) == ["00000", "updates.json"]
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
