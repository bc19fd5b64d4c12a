"""A transcript made by something other than our federation: a plain loop in torch that knows no plan and no Flower."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.knowledge import LabelledKnowledge
from fedleak.attacks.labels.greedy_bias import GreedyBias
from fedleak.errors import FedleakError
from fedleak.stages.attack.view import View
from fedleak.threat import (
    GlobalModel,
    InferredLabels,
    ModelArchitecture,
    PixelPrior,
    SharedUpdate,
    granted_by_level,
)
from fedleak.transcript.layout import Layout
from fedleak.transcript.manifest import FederationRecord, RoundRecord, TrainingRecord, UpdateRecord
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.rows import RowFile, create_rows
from fedleak.transcript.writer import TranscriptWriter
from tests.builders import digits

RATE = 0.1


class PlainLoop:
    """Two clients, one local step each, as a script without any framework would do it; records while it runs."""

    def __init__(self, folder: Path, model: nn.Module) -> None:
        self.model, self.data = model, digits().train
        self.layout = Layout.of(model.named_parameters())
        self.writer = TranscriptWriter(folder, "recorded elsewhere")
        self.writer.allocate(values=self.layout.size)  # nobody knows yet how many updates there will be
        self.writer.save_model(0, model.state_dict())
        self.rows = 0

    def images(self, row: int) -> torch.Tensor:
        return torch.from_numpy(self.data.images[row : row + 1]).float() / 255

    def client(self, row: int) -> dict[str, torch.Tensor]:
        """The delta of one step on one image."""
        outputs = self.model((self.images(row) - 0.5) / 0.5)
        loss = F.cross_entropy(outputs, torch.from_numpy(self.data.labels[row : row + 1]))
        gradients = torch.autograd.grad(loss, list(self.model.parameters()))
        return {n: -RATE * g for (n, _), g in zip(self.model.named_parameters(), gradients, strict=True)}

    def round(self, number: int) -> None:
        updates, deltas = [], []
        for client in (0, 1):
            deltas.append(self.client(self.rows))
            self.writer.write_update(self.rows, self.layout.flatten(deltas[-1]).numpy())
            updates.append(
                UpdateRecord(
                    row=self.rows, round=number, client=client, model_version=number - 1, samples=1, status="ok"
                )
            )
            self.rows += 1
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter += sum(delta[name] for delta in deltas) / 2
        self.writer.save_model(number, self.model.state_dict())
        self.writer.finish_round(
            RoundRecord(round=number, accuracy=math.nan, loss=math.nan, replies=2, updates=tuple(updates))
        )

    def finish(self, model: dict[str, Any]) -> None:
        self.writer.finish(
            parameters=self.layout,
            buffers=(),
            pairs=None,
            training=TrainingRecord(
                local_learning_rate=RATE, local_epochs=1, batch_size=1, samples=1, batch_norm="eval", postprocess=()
            ),
            federation=FederationRecord(
                protocol="fedavg",
                model=model,
                input_shape=(1, 8, 8),
                classes=10,
                class_names=tuple("0123456789"),
                mean=(0.5,),
                std=(0.5,),
            ),
        )


def own_network(_: int = 0) -> nn.Module:
    """A network that no family knows: a convolution, a sigmoid and a linear layer, far from zero."""
    generator = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(384, 10))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return network


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> PlainLoop:
    loop = PlainLoop(tmp_path_factory.mktemp("elsewhere") / "transcript", own_network())
    for number in (1, 2, 3):
        loop.round(number)
    loop.finish({"kind": "somewhere_else"})
    return loop


def test_it_grows_row_by_row_and_is_read_like_any_other(recorded: PlainLoop) -> None:
    reader = TranscriptReader(recorded.writer.folder)
    assert [update.row for update in reader.manifest.updates] == list(range(6))
    network = own_network()
    network.load_state_dict(reader.model(0))
    recorded.model.load_state_dict(reader.model(0))
    expected = recorded.layout.flatten(recorded.client(1))
    assert torch.equal(reader.update(1), expected)
    assert not reader.has_public_images


def test_any_module_can_be_attacked(recorded: PlainLoop) -> None:
    """The view gives update and model; the architecture is a callable of the user's own."""
    reader = TranscriptReader(recorded.writer.folder)
    view = View(reader, granted_by_level(1), reader.manifest.updates[0])

    def asks(update: SharedUpdate, model: GlobalModel, pixels: PixelPrior) -> None:
        """What the transcript itself tells."""

    seen = view.capabilities(asks)
    labels = GreedyBias().infer(seen["update"], count=1)
    known = LabelledKnowledge(
        **seen,
        architecture=ModelArchitecture(own_network, (1, 8, 8), 10),
        labels=InferredLabels(labels, "greedy_bias"),
    )
    attack = InvertingGradients(iterations=300, compile="never")
    answer = attack.invert(known, torch.Generator().manual_seed(0))
    psnr = float(-10 * (answer.images - recorded.images(0)).square().mean().log10())
    assert labels.tolist() == [int(recorded.data.labels[0])]
    assert psnr > 20


def test_a_model_that_no_family_knows_is_named_where_a_scenario_wants_it(recorded: PlainLoop) -> None:
    reader = TranscriptReader(recorded.writer.folder)

    def asks(architecture: ModelArchitecture) -> None:
        """What the transcript cannot tell."""

    with pytest.raises(FedleakError, match=r"somewhere_else.*known kinds"):
        View(reader, granted_by_level(1), reader.manifest.updates[0]).capabilities(asks)


def test_neither_flower_nor_ray_is_needed_to_write_one() -> None:
    code = (
        "import sys, fedleak.transcript.writer; print(sorted({'flwr', 'ray', 'fedleak.federation'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rows_are_added_in_any_order_and_empty_ones_are_zeros(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    create_rows(path, (0, 3), "float32")
    rows = RowFile(path, writable=True)
    rows.grow(1)
    rows.write(0, np.array([[1, 2, 3]], dtype=np.float32))
    rows.grow(120)
    rows.write(119, np.array([[7, 8, 9]], dtype=np.float32))
    rows.grow(5)
    whole = np.load(path)
    assert whole.shape == (120, 3)
    assert whole[0].tolist() == [1, 2, 3]
    assert whole[119].tolist() == [7, 8, 9]
    assert not whole[1:119].any()


def test_a_file_without_room_in_its_header_cannot_grow(tmp_path: Path) -> None:
    path = tmp_path / "tight.npy"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }\n"
    path.write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header + bytes(12))
    with pytest.raises(ValueError, match="no room"):
        RowFile(path, writable=True).grow(2)
