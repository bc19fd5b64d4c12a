"""DP-SGD in local steps against plain loops over examples, and against Opacus' own optimiser."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.client.dp_sgd import DpSgd, poisson_batches
from fedleak.client.local_sgd import LocalSgd
from fedleak.client.local_training import LocalTraining, compute_updates, mini_batches
from fedleak.client.optimizer.adam import Adam
from fedleak.client.private_training import train_privately
from fedleak.models.lenet import LeNet
from tests.client.test_private_gradient import batch, clipped_mean

MODEL = LeNet(channels=3).build((2, 8, 8), 4, seed=3)
SEED = 5
TRAININGS = {
    "sgd": LocalTraining("fedavg", 2, 2, 0.1, train_mode=False),
    "momentum": LocalTraining("fedavg", 2, 2, 0.1, train_mode=False, optimizer=LocalSgd(momentum=0.9)),
    "adam": LocalTraining("fedavg", 3, 2, 0.01, train_mode=False, optimizer=Adam()),
    "fedprox": LocalTraining("fedavg", 2, 3, 0.1, train_mode=False, proximal_mu=0.5),
}


def trained(training: LocalTraining, images: Tensor, labels: Tensor, draws: int = 0, **dp: Any) -> dict[str, Tensor]:
    settings = DpSgd(**({"max_norm": 1e6, "noise_multiplier": 0} | dp))
    generator = torch.Generator().manual_seed(draws)
    deltas, loss = train_privately(MODEL, images, labels, training, settings=settings, generator=generator, seed=SEED)
    assert loss.shape == ()
    return deltas


def by_hand(
    training: LocalTraining, order: list[Tensor], images: Tensor, labels: Tensor, **dp: Any
) -> dict[str, Tensor]:
    """Clipped means of single examples' gradients, and torch's optimiser."""
    own = copy.deepcopy(MODEL)
    stepper = training.optimizer.torch_optimizer(own.parameters(), rate=training.learning_rate)
    old = dict(MODEL.named_parameters())
    for chosen in order:
        gradient = clipped_mean(own, images[chosen], labels[chosen], dp["bound"])
        for name, p in own.named_parameters():
            pull = training.proximal_mu * (p.detach() - old[name].detach())
            p.grad = gradient[name] * len(chosen) / dp.get("expected", len(chosen)) + pull
        stepper.step()
    return {name: (p - old[name]).detach() for name, p in own.named_parameters()}


def check(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", list(TRAININGS))
def test_without_noise_and_clipping_it_is_plain_training(name: str) -> None:
    images, labels = batch(5)
    plain = compute_updates(MODEL, images[None], labels[None], TRAININGS[name], seed=SEED)
    check(trained(TRAININGS[name], images, labels), {n: t[0] for n, t in plain.tensors.items()})


@pytest.mark.parametrize("bound", [1e-2, 0.5])
@pytest.mark.parametrize("name", list(TRAININGS))
def test_each_example_is_clipped_in_every_step(name: str, bound: float) -> None:
    images, labels = batch(5)
    training = TRAININGS[name]
    expected = by_hand(training, mini_batches(5, training, SEED), images, labels, bound=bound)
    check(trained(training, images, labels, max_norm=bound), expected)


def test_poisson_batches_are_divided_by_their_expected_size() -> None:
    images, labels = batch(6)
    training = TRAININGS["sgd"]
    order = poisson_batches(6, batch_size=2, epochs=2, seed=SEED)
    assert len({len(chosen) for chosen in order}) > 1
    assert len(order) == 6
    filled = [chosen for chosen in order if len(chosen)]  # an empty one takes no step without noise
    expected = by_hand(training, filled, images, labels, bound=0.5, expected=2)
    check(trained(training, images, labels, max_norm=0.5, sampling="poisson"), expected)


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
def test_the_noise_has_the_stated_scale_in_every_step(sampling: str) -> None:
    """``rate * noise_multiplier * max_norm / B`` per step, after K steps sqrt(K) times it; no gradient is left."""
    images, labels = batch(6)
    training = LocalTraining("fedavg", 3, 2, 0.5, train_mode=False)
    noise = []
    for draws in range(20):
        quiet = trained(training, images, labels, draws, max_norm=1e-6, noise_multiplier=1e6, sampling=sampling)
        noise.append(torch.cat([tensor.flatten() for tensor in quiet.values()]))
    every = torch.stack(noise)
    assert float(every.std()) == pytest.approx(0.5 * 1.0 / 3 * math.sqrt(4), rel=0.03)
    assert float(every.mean()) == pytest.approx(0, abs=0.02)


def test_an_empty_poisson_batch_is_noise_alone() -> None:
    image, label = batch(1)
    training = LocalTraining("fedavg", 1, 1, 1.0, train_mode=False)
    assert poisson_batches(1, batch_size=1, epochs=1, seed=0)[0].tolist() == [0], "at rate one nobody is left out"
    few = LocalTraining("fedavg", 1, 8, 1.0, train_mode=False)
    images, labels = image.repeat(3, 1, 1, 1), label.repeat(3)
    assert any(not len(chosen) for chosen in poisson_batches(3, batch_size=1, epochs=8, seed=SEED))
    found = trained(few, images, labels, max_norm=0.1, noise_multiplier=1.0, sampling="poisson")
    assert all(tensor.isfinite().all() for tensor in found.values())
    assert all(tensor.isfinite().all() for tensor in trained(training, image, label).values())


def test_the_model_is_left_alone_and_frozen_layers_stay() -> None:
    images, labels = batch(4)
    before = copy.deepcopy(MODEL.state_dict())
    training = LocalTraining("fedavg", 2, 1, 0.1, train_mode=False, frozen=("0.*",))
    found = trained(training, images, labels, noise_multiplier=1.0, max_norm=1.0)
    assert all(torch.equal(MODEL.state_dict()[name], value) for name, value in before.items())
    assert {name for name, tensor in found.items() if not tensor.any()} == {"0.weight", "0.bias"}


@pytest.mark.filterwarnings("ignore")
def test_opacus_takes_the_same_steps() -> None:
    """Its optimiser, without noise, over two epochs of mini-batches; ours is fed with the same ones."""
    opacus = pytest.importorskip("opacus")
    from opacus.optimizers import DPOptimizer

    images, labels = batch(6)
    training = LocalTraining("fedavg", 3, 2, 0.1, train_mode=False)
    wrapped: nn.Module = opacus.GradSampleModule(copy.deepcopy(MODEL))
    stepper = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=0.3, expected_batch_size=3
    )
    for chosen in mini_batches(6, training, SEED):
        stepper.zero_grad()
        F.cross_entropy(wrapped(images[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
        stepper.step()
    old = dict(MODEL.named_parameters())
    theirs = {n.removeprefix("_module."): p.detach() for n, p in wrapped.named_parameters()}
    check(trained(training, images, labels, max_norm=0.3), {n: theirs[n] - old[n].detach() for n in old})
