"""Augmentation in a whole federation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedleak import seeds
from fedleak.client.augment.base import Batch, apply_augmentations
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.federation.sampling import training_key
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario, streams, tree

STEPS = [{"kind": "public_samples", "count": 2}, {"kind": "instahide", "images": 2}, {"kind": "mixup"}]
AUGMENTED: dict[str, Any] = {
    "federation__client__augment": STEPS,
    "federation__client__batch_size": 3,
    "federation__rounds": 1,
}


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
def test_updates_are_those_of_the_augmented_batch(tmp_path: Path, protocol: str) -> None:
    samples = {"federation__client__samples": 4} if protocol == "fedavg" else {}
    checked = scenario(**AUGMENTED, **samples, federation__client__protocol=protocol)
    run = run_federation(tmp_path, checked)
    reader, truth = TranscriptReader(run.transcript), TruthReader(run.truth)
    images, labels = reader.public()
    public = Batch(torch.from_numpy(images).float() / 255, F.one_hot(torch.from_numpy(labels), 10).float())
    settings = checked.federation.client
    training = LocalTraining(protocol, 3, epochs=1, learning_rate=settings.local_learning_rate, train_mode=False)
    model = checked.model.build((1, 8, 8), 10, seed=0)
    model.load_state_dict(reader.model(0))
    roots = streams(tmp_path)

    def update_of(batch: Batch, client: int, seed: str, *name: str | int) -> dict[str, torch.Tensor]:
        steps, draws = settings.augment, seeds.numpy_generator(roots.client(client), "augment", *name)
        changed = apply_augmentations(steps, batch, public, generator=draws)
        assert len(changed) == len(batch) + 2
        pixels = (changed.images[None] - 0.5) / 0.5
        return {
            n: t[0]
            for n, t in compute_updates(model, pixels, changed.targets[None], training, seed=seed).tensors.items()
        }

    for record in reader.manifest.updates:
        own = truth.batch(record.row)
        assert record.samples == len(own.images)
        batch = Batch(own.images, F.one_hot(own.labels, 10).float())
        expected = update_of(batch, record.client, training_key(roots.client(record.client), 1), "train", 1, 0)
        for name, value in reader.manifest.parameters.unflatten(reader.update(record.row)).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    pair = 7
    index = torch.from_numpy(reader.pair_index()[pair])
    expected = update_of(public.take(index), 0, seeds.key(roots.client(0), "inject", 1, 0), "query.inject", 1, pair)
    row = torch.from_numpy(reader.pair_updates().read(np.array([pair]))[0].astype(np.float32))
    for name, value in reader.manifest.parameters.unflatten(row).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (run_federation(tmp_path / name, scenario(**AUGMENTED)) for name in "ab")
    assert tree(first.transcript) == tree(second.transcript)
