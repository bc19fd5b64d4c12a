"""Clients whose updates come from the images of the largest gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from fedleak.data.sources.base import LabelledImages
from fedleak.examples import Normalisation
from fedleak.federation.plan import make_plan
from fedleak.federation.selection import gradient_norms, largest_gradients_first
from fedleak.models.convnet import ConvNet
from fedleak.stages.score.truth import TruthReader
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

HALF = Normalisation((0.5,), (0.5,))
SELECTED = {"federation__client__selection": "largest_gradients", "federation__client__batch_size": 12}


def seventy() -> LabelledImages:
    generator = np.random.default_rng(0)
    return LabelledImages(
        generator.integers(0, 256, (70, 1, 8, 8), dtype=np.uint8), generator.integers(0, 3, 70).astype(np.int64)
    )


def test_norms_are_those_of_single_images() -> None:
    data, model = seventy(), ConvNet(widths=(4, 4)).build((1, 8, 8), 3, seed=0).eval()
    found = gradient_norms(model, data, HALF, task=CLASSIFICATION, classes=3)
    for i in (0, 63, 64, 69):
        pixels = (torch.from_numpy(data.images[i : i + 1]).float() / 255 - 0.5) / 0.5
        loss = F.cross_entropy(model(pixels), torch.from_numpy(data.labels[i : i + 1]))
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        np.testing.assert_allclose(found[i], gradient.norm().item(), rtol=1e-4)


def test_classes_take_turns_and_the_largest_comes_first() -> None:
    data, model = seventy(), ConvNet(widths=(4, 4)).build((1, 8, 8), 3, seed=0).eval()
    norms, order = (
        gradient_norms(model, data, HALF, task=CLASSIFICATION, classes=3),
        largest_gradients_first(model, data, HALF, task=CLASSIFICATION, classes=3),
    )
    assert sorted(order) == list(range(70))
    for turn in (0, 1, 2):
        places = order[3 * turn : 3 * turn + 3]
        assert sorted(data.labels[places]) == [0, 1, 2]
        assert all(np.diff(norms[places]) <= 0)
        for place in places:
            own = norms[data.labels == data.labels[place]]
            assert norms[place] == np.sort(own)[::-1][turn]


def test_every_round_uses_the_selected_images_and_clients_hold_what_they_held(tmp_path: Path) -> None:
    checked = scenario(**SELECTED)
    run = run_federation(tmp_path / "run", checked)
    reader, truth = TranscriptReader(run.transcript), TruthReader(run.truth)
    model = checked.model.build((1, 8, 8), 10, seed=0)
    model.load_state_dict(reader.model(0))
    plain = make_plan(scenario(federation__client__batch_size=12))
    for record in reader.manifest.updates:
        held = plain.clients[record.client]
        places = largest_gradients_first(model.eval(), held, HALF, task=CLASSIFICATION, classes=10)[:12]
        expected = torch.from_numpy(held.images[places]).float() / 255
        torch.testing.assert_close(truth.batch(record.row).images, expected)
