"""What a client trains on is seen, and the training stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flwr.app import ArrayRecord, Message, RecordDict
from torch import nn

from fedleak.audit.recorded import Recorded
from fedleak.audit.recorder import RecordedServerApp
from fedleak.audit.watcher import MOST_IMAGES, BatchWatcher, RecordedClientApp, SeenBatches
from fedleak.federation.serial_grid import SerialGrid
from tests.audit.flower import CLIENT, SERVER, importable, run


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(12, 6)), nn.Dropout(0.5), nn.Linear(6, 3))


def saved(batches: SeenBatches, folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    batches.save(folder, {"message": "m"})
    with np.load(next(folder.glob("*.npz"))) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_small_app_was_seen_to_train_on_its_images(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    with importable():
        run(
            RecordedServerApp(SERVER, str(tmp_path / "r")),
            RecordedClientApp(CLIENT, str(tmp_path / "r")),
            tmp_path / "x.npz",
        )
        from smallapp.task import load_data  # type: ignore[import-not-found]

        found = Recorded.read(tmp_path / "r")
        for message in found.sent:
            seen = found.seen(message.message)
            assert seen is not None
            images, labels = load_data(seen.about.partition)
            order = [int(np.flatnonzero((seen.images == image).all((1, 2, 3)))[0]) for image in images.numpy()]
            np.testing.assert_array_equal(seen.labels[order], labels.numpy())
            assert seen.images.shape == (4, 3, 8, 8)
            assert seen.sizes.tolist() == [2, 2, 2, 2]
            assert seen.about.training_mode is True
            rate = message.config["config"]["lr"]
            wanted = {"kind": "SGD", "steps": 4, "lr": rate, "momentum": 0.5}
            assert {name: seen.about.optimizer[name] for name in wanted} == wanted


def step(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, loss: Any) -> list[torch.Tensor]:
    torch.manual_seed(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    loss(model(images), labels).backward()
    optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        lambda outputs, labels: F.cross_entropy(outputs, target=labels),
        lambda outputs, labels: F.nll_loss(outputs.log_softmax(1), labels),
        lambda outputs, labels: nn.MultiMarginLoss()(outputs, labels),
    ],
)
def test_labels_are_seen_in_every_loss_and_no_bit_changes(loss: Any, tmp_path: Path) -> None:
    images, labels = torch.rand(4, 3, 2, 2), torch.tensor([2, 0, 1, 2])
    plain = step(network(), images, labels, loss)
    batches = SeenBatches()
    with BatchWatcher(batches) as watcher:
        watched = step(network(), images, labels, loss)
    assert all(torch.equal(one, other) for one, other in zip(plain, watched, strict=True))
    arrays = saved(batches, tmp_path / "seen")
    np.testing.assert_array_equal(arrays["images"], images.numpy())
    np.testing.assert_array_equal(arrays["labels"], labels.numpy())
    assert watcher.optimizer["kind"] == "Adam"


def test_the_hooks_are_gone_afterwards_also_after_an_error() -> None:
    functions, hooks = (F.cross_entropy, F.nll_loss), nn.modules.module._global_forward_pre_hooks
    with pytest.raises(RuntimeError, match="shape"), BatchWatcher(SeenBatches()):
        network()(torch.zeros(2, 5))
    assert (F.cross_entropy, F.nll_loss) == functions
    assert not hooks


def test_only_the_outermost_network_with_gradients_is_seen(tmp_path: Path) -> None:
    model, batches = network(), SeenBatches()
    images = torch.rand(2, 3, 2, 2)
    with BatchWatcher(batches):
        nn.Flatten()(torch.zeros(7, 3, 2, 2))  # nothing to train in it, as in transforms
        with torch.no_grad():
            model(torch.zeros(5, 3, 2, 2))
        model(images)
    arrays = saved(batches, tmp_path)
    np.testing.assert_array_equal(arrays["images"], images.numpy())
    assert arrays["labels"].tolist() == [-1, -1]


def test_images_that_come_again_are_kept_once_and_their_order_is(tmp_path: Path) -> None:
    batches, images = SeenBatches(), np.arange(24, dtype=np.float32).reshape(4, 1, 2, 3)
    batches.add(images[[0, 1, 2]])
    batches.label([5, 6, 7])
    batches.add(images[[3, 1]])
    batches.label([8, 6])
    batches.label([1, 2, 3])  # as many as in no batch
    arrays = saved(batches, tmp_path)
    np.testing.assert_array_equal(arrays["images"], images)
    assert arrays["labels"].tolist() == [5, 6, 7, 8]
    assert arrays["order"].tolist() == [0, 1, 2, 3, 1]
    assert arrays["sizes"].tolist() == [3, 2]


def test_why_there_are_no_images(tmp_path: Path) -> None:
    shapes, many, none = SeenBatches(), SeenBatches(), SeenBatches()
    shapes.add(np.zeros((1, 1, 2, 2), np.float32))
    shapes.add(np.zeros((1, 1, 3, 3), np.float32))
    many.add(np.arange(MOST_IMAGES + 1, dtype=np.float32)[:, None])
    assert "inputs of (1, 2, 2) and of (1, 3, 3)" in shapes.note
    assert "more than 65536 images" in many.note
    assert len(saved(none, tmp_path)["images"]) == 0
    assert "no network was called" in next(tmp_path.glob("*.json")).read_text()


def test_a_client_elsewhere_is_told_that_truth_needs_a_simulation(tmp_path: Path) -> None:
    with importable():
        app = RecordedClientApp(CLIENT, str(tmp_path / "nowhere"))
        grid = SerialGrid(app, 1)
        content = RecordDict({"arrays": ArrayRecord([np.zeros(1, np.float32)])})
        (reply,) = grid.send_and_receive([Message(content, 1000, "train")])
    assert "no such folder on the machine of the client" in reply.error.reason
