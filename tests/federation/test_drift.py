"""Clients that train on their own images before they share a gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedleak import seeds
from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

DRIFT = {"images": 20, "epochs": 2, "learning_rate": 0.1, "batch_size": 8}


def updates(root: Path, **changes: object) -> tuple[TranscriptReader, TruthReader, np.ndarray]:
    run = run_federation(root, scenario(federation__rounds=1, **changes))
    reader = TranscriptReader(run.transcript)
    return reader, TruthReader(run.truth), np.stack([reader.update(u.row).numpy() for u in reader.manifest.updates])


def test_the_gradient_is_taken_at_the_drifted_weights(tmp_path: Path) -> None:
    """Plain SGD on the client's drift images in the documented order, then one gradient."""
    checked = scenario(federation__rounds=1, federation__client__drift=DRIFT)
    reader, truth, shared = updates(tmp_path, federation__client__drift=DRIFT)
    plan = make_plan(checked)
    for record, row in zip(reader.manifest.updates, shared, strict=True):
        model = checked.model.build((1, 8, 8), 10, seed=0).eval()
        model.load_state_dict(reader.model(0))
        data = plan.clients[record.client]
        chosen = seeds.numpy_generator(plan.streams.client(record.client), "drift").permutation(len(data))[:20]
        pixels = (torch.from_numpy(data.images[chosen]).float() / 255 - 0.5) / 0.5
        labels = torch.from_numpy(data.labels[chosen])
        order = seeds.torch_generator(seeds.key(plan.streams.client(record.client), "drift-order"), "order")
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            for part in torch.split(torch.randperm(20, generator=order), 8):
                optimiser.zero_grad()
                F.cross_entropy(model(pixels[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        optimiser.zero_grad()
        victim = truth.batch(record.row)
        F.cross_entropy(model((victim.images - 0.5) / 0.5), victim.labels).backward()  # type: ignore[no-untyped-call]
        expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        np.testing.assert_allclose(row, expected.numpy(), atol=1e-5)


def test_injected_pairs_do_not_drift_and_no_epochs_are_no_drift(tmp_path: Path) -> None:
    plain, drifted, idle = (
        updates(tmp_path / str(i), federation__client__drift=drift)
        for i, drift in enumerate((None, DRIFT, DRIFT | {"epochs": 0}))
    )
    every = np.arange(len(plain[0].pair_index()))
    assert np.array_equal(plain[0].pair_updates().read(every), drifted[0].pair_updates().read(every))
    assert not np.allclose(plain[2], drifted[2])
    assert np.array_equal(plain[2], idle[2])


def test_more_images_than_a_client_holds_are_refused() -> None:
    with pytest.raises(InputError, match=r"drift\.images: got 5000; client 0 holds only \d+ images"):
        make_plan(scenario(federation__client__drift=DRIFT | {"images": 5000}))
