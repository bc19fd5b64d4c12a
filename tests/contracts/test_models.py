"""Every model builds at its smallest sensible input, from its seed alone."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fedleak
from fedleak.attacks.replay import loss_gradient, replica, split_state
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.examples import InputShape
from fedleak.families import kinds
from fedleak.models.factory import CONSENT
from fedleak.stages.attack.record import load_images
from tests.builders import FACTORY, small_model

KINDS = list(kinds("model"))
SIDES = (4, 8, 16, 32, 64, 224)
CLASSES = 5


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT, FACTORY)


model = lru_cache(small_model)


@lru_cache
def smallest_input(kind: str, channels: int = 3) -> InputShape:
    """The smallest square image that the model does not refuse."""
    for side in SIDES:
        try:
            model(kind).build((channels, side, side), CLASSES, seed=0)
        except ValueError:
            continue
        return channels, side, side
    raise AssertionError(f"{kind} refuses every size")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_it_maps_images_to_finite_logits(kind: str, channels: int) -> None:
    shape = smallest_input(kind, channels)
    network = model(kind).build(shape, CLASSES, seed=0)
    for batch in (1, 3):
        logits = network.eval()(torch.randn(batch, *shape))
        assert logits.shape == (batch, CLASSES)
        assert logits.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_images_do_not_need_to_be_square(kind: str) -> None:
    channels, side, _ = smallest_input(kind)
    network = model(kind).build((channels, side, 2 * side), CLASSES, seed=0)
    assert network.eval()(torch.randn(2, channels, side, 2 * side)).shape == (2, CLASSES)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_depend_on_the_seed_alone(kind: str) -> None:
    shape = smallest_input(kind)
    torch.rand(3)
    first = model(kind).build(shape, CLASSES, seed=1).state_dict()
    torch.rand(5)
    again = model(kind).build(shape, CLASSES, seed=1).state_dict()
    other = model(kind).build(shape, CLASSES, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_stream_is_not_touched(kind: str) -> None:
    shape, state = smallest_input(kind), torch.get_rng_state()
    model(kind).build(shape, CLASSES, seed=1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_gradient(kind: str) -> None:
    shape = smallest_input(kind)
    network = model(kind).build(shape, CLASSES, seed=0)
    network.eval()(torch.randn(2, *shape)).logsumexp(dim=1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", ["uniform_wide", "kaiming", "xavier"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_initialisation_changes_weights_and_nothing_else(kind: str, name: str) -> None:
    shape = smallest_input(kind)
    usual, other = (small_model(kind, initialisation=i).build(shape, CLASSES, seed=0) for i in ("default", name))
    assert [(n, p.shape) for n, p in usual.state_dict().items()] == [
        (n, p.shape) for n, p in other.state_dict().items()
    ]
    first, changed = (
        next(m.weight for m in n.modules() if isinstance(m, nn.Linear | nn.Conv2d)) for n in (usual, other)
    )
    assert not torch.equal(first, changed)
    if name == "uniform_wide":
        assert 0.3 < changed.abs().max() <= 0.5


VARIANTS: dict[str, dict[str, Any]] = {
    "resnet-34": {"depth": 34},
    "resnet-50": {"depth": 50, "cut_skips": []},
    "resnet-152": {"depth": 152, "normalisation": "group", "cut_skips": []},
    "vgg-16": {"depth": 16, "normalisation": "none"},
    "vgg-19": {"depth": 19},
    "shortnet-53": {"depth": 53, "connections": "dense"},
    "shortnet-cut": {"depth": 53, "connections": "shortnet2"},
}
ATTACKED = [*KINDS, *(pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS)]


@pytest.mark.parametrize("name", ATTACKED)
def test_it_is_trained_for_a_round_and_attacked(name: str, tmp_path: Path) -> None:
    kind = name.split("-")[0]
    side = max(8, smallest_input(kind)[1])
    raw = {
        "name": "zoo",
        "dataset": {"kind": "synthetic", "size": side, "images": 30},
        "model": small_model(kind, **VARIANTS.get(name, {})).model_dump(),
        "federation": {"clients": 2, "rounds": 1, "engine": {"kind": "serial"}},
        "adversary": {"level": 1},
        "attacks": [{"kind": "inverting_gradients", "iterations": 2, "compile": "never"}],
        "metrics": {"lpips": None, "ssim": None},
        "bootstrap_resamples": 100,
        "device": "cpu",
        "threads": 1,
    }
    results = fedleak.run(raw, out=tmp_path / "run")
    (attack,) = [summary for summary in results.attacks if not summary.is_baseline]
    assert (attack.images, attack.failures) == (1, 0)
    (images,) = load_images(tmp_path / "run/attacks/inverting_gradients").values()
    assert images.shape == (1, 3, side, side)
    assert images.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_attacker_who_replays_the_true_images_meets_the_clients_update(kind: str) -> None:
    shape = smallest_input(kind)
    network = model(kind).build(shape, CLASSES, seed=0)
    images, labels = torch.randn(1, 2, *shape), torch.tensor([[0, 3]])
    training = LocalTraining("fedsgd", batch_size=2, epochs=1, learning_rate=0.1, train_mode=False)
    shared = compute_updates(network, images, labels, training, seed=0).tensors
    known = split_state(network, network.state_dict())
    targets = F.one_hot(labels[0], CLASSES).to(torch.float32)
    replayed = loss_gradient(replica(network, train_mode=False), *known, images[0], targets)
    largest = max(float(gradient.abs().max()) for gradient in replayed.values())
    assert largest > 0
    for name, gradient in replayed.items():
        torch.testing.assert_close(shared[name][0], gradient, atol=1e-5 * largest, rtol=1e-4)
