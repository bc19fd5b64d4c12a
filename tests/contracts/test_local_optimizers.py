"""Every local optimiser steps as torch's does, and its steps can be differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from fedleak.client.local_sgd import LocalSgd
from fedleak.client.optimizer.base import AnyOptimizer, LocalOptimizer
from fedleak.families import kinds
from fedleak.tensors import Tensors
from tests.builders import with_required

KINDS = list(kinds("local_optimizer"))
SETTINGS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"betas": (0.5, 0.7), "eps": 1e-3, "amsgrad": True},
    {"schedule": {"kind": "cosine", "final": 0.1}},
]


def optimizer(kind: str, settings: dict[str, Any] | None = None) -> AnyOptimizer:
    cls = kinds("local_optimizer")[kind]
    assert issubclass(cls, LocalOptimizer)
    return with_required(cls, **{k: v for k, v in (settings or {}).items() if k in cls.model_fields})


EVERY = [optimizer(kind, settings) for kind in KINDS for settings in SETTINGS]
EVERY += [LocalSgd(momentum=0.9, nesterov=True, weight_decay=0.01)]


def start() -> Tensors:
    draws = torch.Generator().manual_seed(0)
    return {"a": torch.randn(3, 2, generator=draws), "b": torch.randn(4, generator=draws)}


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_steps_are_torchs(rule: AnyOptimizer) -> None:
    draws = torch.Generator().manual_seed(1)
    ours, theirs = start(), {name: torch.nn.Parameter(tensor.clone()) for name, tensor in start().items()}
    torchs = rule.torch_optimizer(theirs.values(), rate=1.0)
    state: Mapping[str, Tensors] = {}
    for number, rate in enumerate(rule.rates(0.1, 5), start=1):
        gradient = {name: torch.randn(tensor.shape, generator=draws) for name, tensor in ours.items()}
        gradient["b"][0] = 0.0
        for name, parameter in theirs.items():
            parameter.grad = gradient[name].clone()
        torchs.param_groups[0]["lr"] = rate
        torchs.step()
        ours, state = rule.step(ours, gradient, state, rate=rate, number=number)
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[name].detach(), rtol=1e-5, atol=1e-6)
    assert not any(torch.equal(ours[name], tensor) for name, tensor in start().items())


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_two_steps_are_differentiated(rule: AnyOptimizer) -> None:
    """Against finite differences in double precision."""
    weights = {name: tensor.double() for name, tensor in start().items()}
    first, second = (torch.linspace(low, 2.0, 10, dtype=torch.float64) for low in (0.5, -1.5))

    def after(first: Tensor, second: Tensor) -> Tensor:
        now, state = weights, dict[str, Tensors]()
        for number, flat in enumerate((first, second), start=1):
            gradient = {"a": flat[:6].reshape(3, 2), "b": flat[6:]}
            now, kept = rule.step(now, gradient, state, rate=0.3, number=number)
            state = dict(kept)
        return torch.cat([now["a"].flatten(), now["b"]])

    assert torch.autograd.gradcheck(after, (first.requires_grad_(), second.requires_grad_()))


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_weights_without_a_gradient_have_finite_derivatives(rule: AnyOptimizer) -> None:
    gradient = torch.zeros(4, requires_grad=True)
    new, _ = rule.step({"b": start()["b"]}, {"b": gradient}, {}, rate=0.1, number=1)
    (derivative,) = torch.autograd.grad(new["b"].sum(), gradient)
    assert derivative.isfinite().all()


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_settings_survive_json(rule: AnyOptimizer) -> None:
    assert type(rule).model_validate(rule.model_dump(mode="json")) == rule
    assert rule.reach(3) > 0
