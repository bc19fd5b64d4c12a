"""Clients that train on their own images before they share a gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedleak import seeds
from fedleak.errors import InputError
from fedleak.federation.plan import Plan, make_plan
from fedleak.scenario.schema import Scenario
from fedleak.stages.score.truth import TruthReader
from fedleak.tensors import NamedTensors
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

DRIFT = {"images": 20, "epochs": 2, "learning_rate": 0.1, "batch_size": 8}


def updates(root: Path, **changes: object) -> tuple[TranscriptReader, TruthReader, np.ndarray]:
    run = run_federation(root, scenario(federation__rounds=1, **changes))
    reader = TranscriptReader(run.transcript)
    return reader, TruthReader(run.truth), np.stack([reader.update(u.row).numpy() for u in reader.manifest.updates])


def drifted(checked: Scenario, plan: Plan, client: int, state: NamedTensors) -> nn.Module:
    """The network after plain SGD on a client's drift images in the documented order."""
    model = checked.model.build((1, 8, 8), 10, seed=0).eval()
    model.load_state_dict(dict(state))
    data = plan.clients[client]
    chosen = seeds.numpy_generator(plan.streams.client(client), "drift").permutation(len(data))[:20]
    pixels = (torch.from_numpy(data.images[chosen]).float() / 255 - 0.5) / 0.5
    labels = torch.from_numpy(data.labels[chosen])
    order = seeds.torch_generator(seeds.key(plan.streams.client(client), "drift-order"), "order")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        for part in torch.split(torch.randperm(20, generator=order), 8):
            optimiser.zero_grad()
            F.cross_entropy(model(pixels[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    optimiser.zero_grad()
    return model


def gradient(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Of images in [0, 1], flat."""
    loss = F.cross_entropy(model((images - 0.5) / 0.5), labels)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]).numpy()


def test_the_gradient_is_taken_at_the_drifted_weights(tmp_path: Path) -> None:
    checked = scenario(federation__rounds=1, federation__client__drift=DRIFT)
    reader, truth, shared = updates(tmp_path, federation__client__drift=DRIFT)
    plan = make_plan(checked)
    for record, row in zip(reader.manifest.updates, shared, strict=True):
        model = drifted(checked, plan, record.client, reader.model(0))
        victim = truth.batch(record.row)
        np.testing.assert_allclose(row, gradient(model, victim.images, victim.labels), atol=1e-5)


def test_injected_pairs_do_not_drift_and_no_epochs_are_no_drift(tmp_path: Path) -> None:
    plain, drifted, idle = (
        updates(tmp_path / str(i), federation__client__drift=drift)
        for i, drift in enumerate((None, DRIFT, DRIFT | {"epochs": 0}))
    )
    every = np.arange(len(plain[0].pair_index()))
    assert np.array_equal(plain[0].pair_updates().read(every), drifted[0].pair_updates().read(every))
    assert not np.allclose(plain[2], drifted[2])
    assert np.array_equal(plain[2], idle[2])


def test_with_both_sides_pairs_are_taken_at_the_compromised_clients_own_drifted_weights(tmp_path: Path) -> None:
    both = DRIFT | {"side": "both"}
    checked = scenario(federation__rounds=1, federation__client__drift=both)
    reader, _, shared = updates(tmp_path / "both", federation__client__drift=both)
    one_sided, _, same = updates(tmp_path / "victims", federation__client__drift=DRIFT)
    assert np.array_equal(shared, same), "victims do not notice"
    assert (reader.manifest.pairs.drifted, one_sided.manifest.pairs.drifted) == (True, False)  # type: ignore[union-attr]
    plan = make_plan(checked)
    model = drifted(checked, plan, checked.adversary.compromised, reader.model(0))
    pairs, index = reader.pair_updates().read(np.arange(5)), reader.pair_index()[:5]
    for row, (number,) in zip(pairs, index, strict=True):
        image = torch.from_numpy(plan.public.images[number : number + 1]).float() / 255
        label = torch.from_numpy(plan.public.labels[number : number + 1])
        np.testing.assert_allclose(row, gradient(model, image, label), atol=1e-5)


def test_the_transcript_holds_nobodys_drifted_weights(tmp_path: Path) -> None:
    both = DRIFT | {"side": "both"}
    checked = scenario(federation__rounds=1, federation__client__drift=both)
    reader, _, _ = updates(tmp_path / "both", federation__client__drift=both)
    plain, _, _ = updates(tmp_path / "none")
    names = [sorted(str(f.relative_to(r.folder)) for f in r.folder.rglob("*") if f.is_file()) for r in (reader, plain)]
    assert names[0] == names[1]
    known = {name: tensor.numpy().tobytes() for name, tensor in reader.model(0).items()}
    content = [path.read_bytes() for path in reader.folder.rglob("*") if path.is_file()]
    assert all(any(weights in text for text in content) for weights in known.values()), (
        "it is looked for as it is stored"
    )
    plan = make_plan(checked)
    for client in range(3):
        model = drifted(checked, plan, client, reader.model(0))
        for name, tensor in model.state_dict().items():
            assert not any(tensor.numpy()[:1].tobytes() in text for text in content), f"client {client}: {name}"


def test_more_images_than_a_client_holds_are_refused() -> None:
    with pytest.raises(InputError, match=r"drift\.images: got 5000; client 0 holds only \d+ images"):
        make_plan(scenario(federation__client__drift=DRIFT | {"images": 5000}))
