"""What a client records is what plain PyTorch computes, for every model, protocol and mode.

The reference knows nothing of fedleak: autograd and ``torch.optim.SGD`` on a network in the named mode.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak import seeds
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.local_training import LocalTraining, Updates, compute_updates, mini_batches
from fedleak.client.private_gradient import private_gradient
from fedleak.families import kinds
from fedleak.models.modes import NORMALISATION
from tests.builders import small_model
from tests.user_models import FACTORIES

CLASSES, SEED, RATE = 3, 5, 0.1
ZOO = [
    kind
    for kind in kinds("model")
    if kind not in ("factory", "resnet18", "densenet", "shortnet", "googlenet", "inception_v3")
]
LARGE = {"densenet": 16, "shortnet": 16, "swin": 32, "vgg": 32, "googlenet": 32, "inception_v3": 96}
CASES = [*FACTORIES, *ZOO, *(pytest.param(k, marks=pytest.mark.slow) for k in LARGE if k not in ZOO)]


def side_of(name: str) -> int:
    return LARGE.get(name, 8)


@lru_cache
def network(name: str) -> nn.Module:
    return build(name)


def build(name: str) -> nn.Module:
    """A new network, always the same, with running statistics that are not those of a new one."""
    shape = (2, side_of(name), side_of(name))
    with seeds.global_torch_seed(3):
        built = FACTORIES[name](shape, CLASSES) if name in FACTORIES else small_model(name).module(shape, CLASSES)
    with torch.no_grad():
        for buffer_name, buffer in built.named_buffers():
            if "running" in buffer_name:
                buffer.add_(torch.linspace(0.1, 0.5, buffer.numel()))
    return built


def batches(name: str, count: int, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count * 10 + size)
    images = torch.randn(count, size, 2, side_of(name), side_of(name), generator=generator)
    return images, torch.randint(CLASSES, (count, size), generator=generator)


def reference(name: str, *, train_mode: bool) -> nn.Module:
    """The network in training mode but for dropout, or in evaluation mode."""
    own = build(name).eval()
    for layer in own.modules() if train_mode else ():
        layer.training = isinstance(layer, NORMALISATION)
    return own


def trained(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def fit(module: nn.Module, images: Tensor) -> Tensor:
    first = next(module.parameters())
    return module(images.to(first.dtype))  # type: ignore[no-any-return]


def plain_gradient(module: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    F.cross_entropy(fit(module, images), labels).backward()  # type: ignore[no-untyped-call]
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in trained(module).items()}


def plain_sgd(module: nn.Module, images: Tensor, labels: Tensor, order: list[Tensor]) -> dict[str, Tensor]:
    before = {name: parameter.detach().clone() for name, parameter in trained(module).items()}
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=RATE)
    for part in order:
        optimiser.zero_grad()
        F.cross_entropy(fit(module, images[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return {name: (p - before[name]).detach() for name, p in trained(module).items()}


def check(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Each tensor to 1e-5 of its norm; a gradient that is zero but for rounding, of the whole update's."""
    assert list(found) == list(expected)
    whole = torch.stack([value.double().norm() for value in expected.values()]).norm()
    assert whole > 0
    for name, value in expected.items():
        error = (found[name].double() - value.double()).norm()
        assert error <= 1e-5 * value.double().norm() + 1e-6 * whole, name


def rows(updates: Updates, i: int) -> dict[str, Tensor]:
    return {name: tensor[i] for name, tensor in updates.tensors.items()}


def training_of(protocol: str, train_mode: bool, size: int) -> LocalTraining:
    return LocalTraining(protocol, size, epochs=1, learning_rate=RATE, train_mode=train_mode)


@pytest.mark.parametrize("train_mode", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("count", [1, 3], ids=["own", "injected"])
@pytest.mark.parametrize("name", CASES)
def test_fedsgd_shares_the_gradient_of_autograd(name: str, count: int, train_mode: bool) -> None:
    images, labels = batches(name, count, 2)
    updates = compute_updates(network(name), images, labels, training_of("fedsgd", train_mode, 2), seed=SEED)
    for i in range(count):
        module = reference(name, train_mode=train_mode)
        check(rows(updates, i), plain_gradient(module, images[i], labels[i]))
        for buffer_name, buffer in module.named_buffers():
            torch.testing.assert_close(updates.buffers[buffer_name][i], buffer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train_mode", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("count", [1, 2], ids=["own", "injected"])
@pytest.mark.parametrize("name", FACTORIES)
def test_fedavg_shares_the_step_of_torchs_sgd(name: str, count: int, train_mode: bool) -> None:
    images, labels = batches(name, count, 4)
    training = training_of("fedavg", train_mode, 2)
    updates = compute_updates(network(name), images, labels, training, seed=SEED)
    for i in range(count):
        module = reference(name, train_mode=train_mode)
        expected = plain_sgd(module, images[i], labels[i], mini_batches(4, training, SEED))
        check_difference(rows(updates, i), expected, network(name))


def check_difference(found: dict[str, Tensor], expected: dict[str, Tensor], start: nn.Module) -> None:
    """As ``check``, but the difference of two weights is only as exact as the weights."""
    assert list(found) == list(expected)
    for name, weight in trained(start).items():
        rounding = 4 * torch.finfo(weight.dtype).eps * weight.detach().double().norm()
        error = (found[name].double() - expected[name].double()).norm()
        assert error <= 1e-5 * expected[name].double().norm() + rounding + 1e-8, name


@pytest.mark.parametrize("name", [*FACTORIES, "lenet", "mlp", "convnet", "vit"])
def test_dp_sgd_clips_the_gradients_of_autograd(name: str) -> None:
    images, labels = batches(name, 1, 3)
    settings, generator = DpSgd(max_norm=0.05, noise_multiplier=0.0), torch.Generator().manual_seed(0)
    found, _ = private_gradient(network(name), images[0], labels[0], settings=settings, generator=generator)
    clipped = []
    for image, label in zip(images[0], labels[0], strict=True):
        gradient = plain_gradient(reference(name, train_mode=False), image[None], label[None])
        one = {n: value.double() for n, value in gradient.items()}
        norm = torch.stack([value.norm() for value in one.values()]).norm()
        clipped.append({n: value * min(1.0, 0.05 / float(norm)) for n, value in one.items()})
    check(found, {n: torch.stack([one[n] for one in clipped]).mean(dim=0) for n in clipped[0]})


def test_frozen_parameters_are_not_in_the_update() -> None:
    images, labels = batches("frozen", 1, 2)
    updates = compute_updates(network("frozen"), images, labels, training_of("fedavg", False, 2), seed=SEED)
    assert list(updates.tensors) == ["conv2.weight", "conv2.bias", "fc2.weight", "fc2.bias"]


@pytest.mark.parametrize("name", FACTORIES)
def test_the_model_is_left_as_it_was(name: str) -> None:
    module = network(name)
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    before = {n: (id(t), t.data_ptr(), t.detach().clone()) for n, t in tensors.items()}
    images, labels = batches(name, 2, 2)
    compute_updates(module, images, labels, training_of("fedavg", True, 2), seed=SEED)
    for tensor_name, (identity, place, value) in before.items():
        now = tensors[tensor_name]
        assert (id(now), now.data_ptr()) == (identity, place), tensor_name
        assert torch.equal(now, value), tensor_name
    assert all(parameter.grad is None for parameter in module.parameters())


def test_dropout_has_its_own_switch() -> None:
    """The masks of a step are those of torch under the same seed; normalisation does not hang on them."""
    images, labels = batches("dropout", 1, 2)
    off, on = (LocalTraining("fedsgd", 2, 1, RATE, train_mode=mode, dropout=mode) for mode in (False, True))
    module = build("dropout").eval()
    check(
        rows(compute_updates(network("dropout"), images, labels, off, seed=SEED), 0),
        plain_gradient(module, images[0], labels[0]),
    )
    for training in (on, LocalTraining("fedsgd", 2, 1, RATE, train_mode=False, dropout=True)):
        with seeds.global_torch_seed(SEED):
            expected = plain_gradient(build("dropout").train(), images[0], labels[0])
        found = compute_updates(network("dropout"), images, labels, training, seed=SEED)
        check(rows(found, 0), expected)


def test_masks_differ_between_injected_batches() -> None:
    images, labels = batches("dropout", 1, 2)
    training = LocalTraining("fedsgd", 2, 1, RATE, train_mode=False, dropout=True)
    twice = compute_updates(network("dropout"), images.repeat(2, 1, 1, 1, 1), labels.repeat(2, 1), training, seed=SEED)
    assert not torch.equal(twice.tensors["0.weight"][0], twice.tensors["0.weight"][1])
