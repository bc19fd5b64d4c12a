"""DP-SGD against autograd one example at a time, and against Opacus' own optimiser."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.client.dp_sgd import DpSgd
from fedleak.client.private_gradient import private_gradient
from fedleak.errors import InputError
from fedleak.models.lenet import LeNet
from tests.scenarios import scenario

MODEL = LeNet(channels=3).build((2, 8, 8), 4, seed=3)


def batch(count: int) -> tuple[Tensor, Tensor]:
    """Images ``(count, 2, 8, 8)`` and labels."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 2, 8, 8, generator=generator), torch.arange(count) % 4


def clipped_mean(model: nn.Module, images: Tensor, labels: Tensor, bound: float) -> dict[str, Tensor]:
    """By autograd, example by example."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for image, label in zip(images, labels, strict=True):
        loss = F.cross_entropy(model(image[None]), label[None])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        for name, gradient in zip(total, gradients, strict=True):
            total[name] += gradient * min(1.0, bound / norm)
    return {name: value / len(images) for name, value in total.items()}


@pytest.mark.parametrize("bound", [1e-3, 0.5, 1e3])
def test_each_example_is_clipped_apart(bound: float) -> None:
    images, labels = batch(5)
    settings = DpSgd(max_norm=bound, noise_multiplier=0)
    gradient, loss = private_gradient(MODEL, images, labels, settings=settings, generator=torch.Generator())
    for name, value in clipped_mean(MODEL, images, labels, bound).items():
        torch.testing.assert_close(gradient[name], value, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(loss, F.cross_entropy(MODEL(images), labels))


def test_the_noise_has_the_stated_scale() -> None:
    """``noise_multiplier * max_norm / M`` on every value."""
    images, labels = batch(4)
    settings = DpSgd(max_norm=0.5, noise_multiplier=3.0)
    draws = torch.Generator().manual_seed(0)
    quiet, _ = private_gradient(
        MODEL, images, labels, settings=DpSgd(max_norm=0.5, noise_multiplier=0), generator=draws
    )
    noise = []
    for _ in range(40):
        noisy, _ = private_gradient(MODEL, images, labels, settings=settings, generator=draws)
        noise.append(torch.cat([(noisy[name] - quiet[name]).flatten() for name in noisy]))
    every = torch.stack(noise)
    assert float(every.std()) == pytest.approx(3.0 * 0.5 / 4, rel=0.02)
    assert float(every.mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.filterwarnings("ignore")
def test_opacus_takes_the_same_step() -> None:
    """Its optimiser, without noise, on the same batch; with noise, the same spread."""
    opacus = pytest.importorskip("opacus")
    images, labels = batch(6)
    gradient, _ = private_gradient(
        MODEL, images, labels, settings=DpSgd(max_norm=0.3, noise_multiplier=0), generator=torch.Generator()
    )
    steps = {sigma: _opacus_gradient(opacus, images, labels, sigma) for sigma in (0.0, 2.0)}
    for name, value in steps[0.0].items():
        torch.testing.assert_close(gradient[name], value, rtol=1e-3, atol=1e-6)
    spread = torch.cat([(steps[2.0][name] - steps[0.0][name]).flatten() for name in gradient]).std()
    assert float(spread) == pytest.approx(2.0 * 0.3 / 6, rel=0.1)


def _opacus_gradient(opacus: Any, images: Tensor, labels: Tensor, sigma: float) -> dict[str, Tensor]:
    from opacus.optimizers import DPOptimizer

    wrapped = opacus.GradSampleModule(copy.deepcopy(MODEL))
    optimiser = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=1.0),
        noise_multiplier=sigma,
        max_grad_norm=0.3,
        expected_batch_size=len(images),
        generator=torch.Generator().manual_seed(0),
    )
    F.cross_entropy(wrapped(images), labels).backward()  # type: ignore[no-untyped-call]
    optimiser.pre_step()
    return {name.removeprefix("_module."): p.grad for name, p in wrapped.named_parameters()}


@pytest.mark.parametrize(
    "mixing",
    [{"batch_norm": "train_shared"}, {"augment": ["mixup"]}],
    ids=lambda mixing: next(iter(mixing)),
)
def test_what_mixes_examples_is_refused(mixing: dict[str, Any]) -> None:
    client = {"dp_sgd": {"max_norm": 1.0, "noise_multiplier": 1.0}, **mixing}
    with pytest.raises(InputError, match="dp_sgd clips each example's gradient"):
        scenario(federation__client=client)
