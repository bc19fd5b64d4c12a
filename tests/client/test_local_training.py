"""The vectorised client against the plainest possible loops."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak import seeds
from fedleak.client import local_training
from fedleak.client.local_sgd import LocalSgd
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet15 import ResNet15
from fedleak.models.vit import ViT

SHAPE, CLASSES, SEED = (2, 8, 8), 4, 11
MODELS: list[Model] = [Mlp(hidden=(9,)), LeNet(channels=3), ConvNet(widths=(3, 4))]
DEEP: list[Model] = [
    ResNet15(widths=(8, 8, 8, 8), normalisation="group"),
    ViT(width=8, mlp_width=6, blocks=1, heads=2),
]


def built(model: Model) -> nn.Module:
    """With running statistics that are not those of a new network."""
    module = model.build(SHAPE, CLASSES, seed=3)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.linspace(0.1, 0.5, buffer.numel()))
    return module


def batches(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Images ``(count, size, C, H, W)`` and labels ``(count, size)``."""
    generator = torch.Generator().manual_seed(count * 100 + size)
    labels = torch.randint(CLASSES, (count, size), generator=generator)
    return torch.randn(count, size, *SHAPE, generator=generator), labels


def naive_gradient(module: nn.Module, images: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradient of the mean loss and the buffers afterwards, by autograd on a copy."""
    own = copy.deepcopy(module)
    F.cross_entropy(own(images), labels).backward()  # type: ignore[no-untyped-call]
    return {n: p.grad for n, p in own.named_parameters() if p.grad is not None}, dict(own.named_buffers())


def order_of(samples: int, training: LocalTraining) -> list[Tensor]:
    """The documented order: a fresh permutation per epoch, cut into mini-batches, the last one shorter."""
    generator = seeds.torch_generator(SEED, "order")
    epochs = [torch.randperm(samples, generator=generator) for _ in range(training.epochs)]
    return [part for order in epochs for part in torch.split(order, training.batch_size)]


def naive_sgd(
    module: nn.Module, images: Tensor, labels: Tensor, training: LocalTraining
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weight delta and buffers after plain ``torch.optim.SGD``."""
    own = copy.deepcopy(module)
    sgd = training.optimizer
    assert isinstance(sgd, LocalSgd)
    decay = {"momentum": sgd.momentum, "weight_decay": sgd.weight_decay}
    optimiser = torch.optim.SGD(own.parameters(), lr=training.learning_rate, nesterov=sgd.nesterov, **decay)
    order = order_of(len(labels), training)
    for part, rate in zip(order, sgd.rates(training.learning_rate, len(order)), strict=True):
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        F.cross_entropy(own(images[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    old = dict(module.named_parameters())
    return {n: (p - old[n]).detach() for n, p in own.named_parameters()}, dict(own.named_buffers())


def check_equal(actual: dict[str, Tensor], i: int, expected: dict[str, Tensor]) -> None:
    """Row ``i`` of every tensor."""
    assert set(actual) == set(expected)
    for name, value in expected.items():
        largest = float(value.abs().max())  # sums of many terms round by their size
        torch.testing.assert_close(actual[name][i], value, rtol=1e-5, atol=1e-6 + 1e-5 * largest, msg=name)


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("model", [*MODELS, *DEEP], ids=lambda m: m.kind)
def test_fedsgd_is_the_gradient_of_each_batch(model: Model, size: int, train_mode: bool) -> None:
    module = built(model)
    images, labels = batches(5, size)
    training = LocalTraining("fedsgd", batch_size=size, epochs=1, learning_rate=1.0, train_mode=train_mode)
    updates = compute_updates(module, images, labels, training, seed=SEED)
    reference = module.train(train_mode)
    for i in range(5):
        gradient, buffers = naive_gradient(reference, images[i], labels[i])
        check_equal(updates.tensors, i, gradient)
        check_equal(updates.buffers, i, buffers)
        loss = F.cross_entropy(copy.deepcopy(reference)(images[i]), labels[i])
        torch.testing.assert_close(updates.losses[i], loss)


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 7), (3, 3), (2, 100)])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.kind)
def test_fedavg_is_plain_sgd(model: Model, epochs: int, batch_size: int, train_mode: bool) -> None:
    module = built(model)
    images, labels = batches(2, 8)
    training = LocalTraining("fedavg", batch_size, epochs=epochs, learning_rate=0.1, train_mode=train_mode)
    updates = compute_updates(module, images, labels, training, seed=SEED)
    reference = module.train(train_mode)
    for i in range(2):
        delta, buffers = naive_sgd(reference, images[i], labels[i], training)
        check_equal(updates.tensors, i, delta)
        check_equal(updates.buffers, i, buffers)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.kind)
def test_fedavg_is_sgd_with_all_its_settings(model: Model) -> None:
    module = built(model)
    images, labels = batches(2, 8)
    settings = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "schedule": {"kind": "step", "every": 2}}
    sgd = LocalSgd.model_validate(settings)
    training = LocalTraining("fedavg", 3, epochs=2, learning_rate=0.1, train_mode=False, optimizer=sgd)
    updates = compute_updates(module, images, labels, training, seed=SEED)
    for i in range(2):
        delta, _ = naive_sgd(module.eval(), images[i], labels[i], training)
        check_equal(updates.tensors, i, delta)


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
def test_groups_change_nothing(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = built(MODELS[2])
    images, labels = batches(7, 4)
    training = LocalTraining(protocol, batch_size=2, epochs=2, learning_rate=0.1, train_mode=True)
    whole = compute_updates(module, images, labels, training, seed=SEED)
    monkeypatch.setattr(local_training, "VMAP_BATCHES", 3)
    parts = compute_updates(module, images, labels, training, seed=SEED)
    for i in range(7):
        check_equal(parts.tensors, i, {n: t[i] for n, t in whole.tensors.items()})
        check_equal(parts.buffers, i, {n: t[i] for n, t in whole.buffers.items()})
    torch.testing.assert_close(parts.losses, whole.losses)


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
def test_the_model_and_the_random_state_are_left_alone(protocol: str, train_mode: bool) -> None:
    module = built(MODELS[2])
    before = copy.deepcopy(module.state_dict())
    images, labels = batches(3, 4)
    kept = (images.clone(), labels.clone())
    training = LocalTraining(protocol, batch_size=2, epochs=2, learning_rate=0.1, train_mode=train_mode)
    state = torch.random.get_rng_state()
    updates = compute_updates(module, images, labels, training, seed=SEED)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert module.training
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(images, kept[0])
    assert torch.equal(labels, kept[1])
    assert not any(t.requires_grad for t in (*updates.tensors.values(), *updates.buffers.values(), updates.losses))


def test_the_seed_decides_the_order() -> None:
    module = built(MODELS[0])
    images, labels = batches(1, 6)
    training = LocalTraining("fedavg", batch_size=2, epochs=1, learning_rate=0.5, train_mode=False)
    first, again, other = (compute_updates(module, images, labels, training, seed=s).tensors for s in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_eval_mode_counts_no_batches() -> None:
    module = built(MODELS[2])
    images, labels = batches(2, 4)
    for train_mode, expected in ((False, 0), (True, 4)):
        training = LocalTraining("fedavg", batch_size=2, epochs=2, learning_rate=0.1, train_mode=train_mode)
        updates = compute_updates(module, images, labels, training, seed=SEED)
        counts = [b for name, b in updates.buffers.items() if name.endswith("num_batches_tracked")]
        assert all((count == expected).all() for count in counts)
