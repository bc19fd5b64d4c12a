"""The replay is what a real client computes, to 1e-6."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedleak.attacks.replay import (
    LocalSteps,
    assumed_order,
    random_orders,
    replay,
    replica,
    split_state,
)
from fedleak.client.local_training import LocalTraining, compute_updates, mini_batches
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.tasks.classification import CLASSIFICATION
from tests.builders import architecture, digits

MODELS = [LeNet(channels=4), Mlp(hidden=(12,)), ConvNet(widths=(4, 4))]
SEED = 5


def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    data = digits().train
    images = (torch.from_numpy(data.images[:count]).float() / 255 - 0.5) / 0.5
    return images, torch.from_numpy(data.labels[:count])


def replayed(
    model: Model, images: torch.Tensor, labels: torch.Tensor, steps: LocalSteps | None, *, train_mode: bool
) -> dict[str, torch.Tensor]:
    module = architecture(model).build(seed=1)
    parameters, buffers = split_state(module, module.state_dict())
    targets = F.one_hot(labels, 10).float()
    return replay(replica(module, train_mode=train_mode), parameters, buffers, images, targets, steps)


def real(model: Model, images: torch.Tensor, labels: torch.Tensor, training: LocalTraining) -> dict[str, torch.Tensor]:
    module = architecture(model).build(seed=1)
    updates = compute_updates(module, images[None], labels[None], training, seed=SEED)
    return {name: tensor[0] for name, tensor in updates.tensors.items()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_one_gradient_is_the_clients(model: Model, train_mode: bool) -> None:
    images, labels = batch(3)
    training = LocalTraining("fedsgd", batch_size=3, epochs=1, learning_rate=0.1, train_mode=train_mode)
    assert_equal(replayed(model, images, labels, None, train_mode=train_mode), real(model, images, labels, training))


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_unrolled_steps_are_the_clients(model: Model, train_mode: bool) -> None:
    """Two epochs of mini-batches of two over five images, in the client's own order."""
    images, labels = batch(6)
    training = LocalTraining("fedavg", batch_size=2, epochs=2, learning_rate=0.1, train_mode=train_mode)
    order = tuple(tuple(b.tolist()) for b in mini_batches(6, training, SEED))
    assert len(order) == 6
    assert_equal(
        replayed(model, images, labels, LocalSteps(0.1, order), train_mode=train_mode),
        real(model, images, labels, training),
    )


def test_one_step_of_local_training_points_against_the_gradient() -> None:
    images, labels = batch(3)
    gradient = replayed(LeNet(channels=4), images, labels, None, train_mode=False)
    steps = LocalSteps(0.1, assumed_order(3, batch_size=3, epochs=1))
    delta = replayed(LeNet(channels=4), images, labels, steps, train_mode=False)
    assert_equal(delta, {name: -0.1 * tensor for name, tensor in gradient.items()})


def test_the_assumed_order_by_hand() -> None:
    assert assumed_order(5, batch_size=2, epochs=2) == ((0, 1), (2, 3), (4,)) * 2


def test_soft_cross_entropy_of_a_one_hot_target_is_cross_entropy() -> None:
    logits, labels = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 0, 9, 1])
    torch.testing.assert_close(CLASSIFICATION.soft_loss(logits, F.one_hot(labels, 10)), F.cross_entropy(logits, labels))


def test_the_replay_can_be_differentiated() -> None:
    """Against central differences, through two unrolled steps, in double precision."""
    module = architecture(LeNet(channels=2)).build(seed=1).double()
    parameters, buffers = split_state(module, module.state_dict())
    twin, targets = replica(module, train_mode=False), F.one_hot(torch.tensor([3, 1]), 10).double()
    steps = LocalSteps(0.5, ((0,), (1, 0)))

    def norm(images: torch.Tensor) -> torch.Tensor:
        update = replay(twin, parameters, buffers, images, targets, steps)
        return torch.stack([tensor.square().sum() for tensor in update.values()]).sum()

    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images.requires_grad_(True)
    (gradient,) = torch.autograd.grad(norm(images), images)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        slope = (norm(images + 1e-5 * direction) - norm(images - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose((gradient * direction).sum().item(), slope.item(), rtol=1e-6)


def test_a_replica_keeps_the_module_and_its_statistics() -> None:
    module = architecture(ConvNet(widths=(4,))).build(seed=1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    parameters, buffers = split_state(module, module.state_dict())
    targets = F.one_hot(torch.tensor([3]), 10).float()
    replay(replica(module, train_mode=True), parameters, buffers, torch.randn(1, 1, 8, 8), targets, None)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(torch.equal(before[name], tensor) for name, tensor in buffers.items())
    assert module.training


def test_several_orders_are_averaged() -> None:
    images, labels = batch(4)
    orders = random_orders(4, batch_size=2, epochs=2, count=3)
    alone = [replayed(MODELS[0], images, labels, LocalSteps(0.1, order), train_mode=False) for order in orders]
    first, *others = (LocalSteps(0.1, order) for order in orders)
    steps = replace(first, alternatives=tuple(others))
    together = replayed(MODELS[0], images, labels, steps, train_mode=False)
    mean = {name: torch.stack([delta[name] for delta in alone]).mean(dim=0) for name in together}
    assert_equal(together, mean)
    assert not torch.equal(alone[0]["0.weight"], alone[1]["0.weight"])


def test_assumed_orders_are_always_the_same_and_pass_through_every_image_in_every_epoch() -> None:
    orders = random_orders(5, batch_size=2, epochs=2, count=4)
    assert orders == random_orders(5, batch_size=2, epochs=2, count=4)
    assert len(set(orders)) == 4
    for order in orders:
        assert [len(some) for some in order] == [2, 2, 1, 2, 2, 1]
        assert (
            sorted(i for some in order[:3] for i in some)
            == sorted(i for some in order[3:] for i in some)
            == [0, 1, 2, 3, 4]
        )
