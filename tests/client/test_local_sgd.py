"""The rule that clients and attacks share, against torch's optimiser."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fedleak.client.local_sgd import LocalSgd, sgd_step
from fedleak.tensors import Tensors

SETTINGS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.01},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_steps_are_torchs(settings: dict[str, Any]) -> None:
    draws = torch.Generator().manual_seed(0)
    start = {"a": torch.randn(3, 2, generator=draws), "b": torch.randn(4, generator=draws)}
    ours: Tensors = dict(start)
    theirs = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in start.items()}
    optimiser = torch.optim.SGD(theirs.values(), lr=1.0, **settings)
    velocity: Tensors = {}
    for rate in (0.1, 0.2, 0.05, 0.3):
        gradient = {name: torch.randn(tensor.shape, generator=draws) for name, tensor in start.items()}
        for name, parameter in theirs.items():
            parameter.grad = gradient[name].clone()
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
        ours, velocity = sgd_step(ours, gradient, velocity, rate=rate, settings=LocalSgd(**settings))
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[name].detach())
    assert not any(torch.equal(ours[name], tensor) for name, tensor in start.items())


def test_the_reach_by_hand() -> None:
    assert LocalSgd().reach(5) == 5
    assert LocalSgd(momentum=0.5).reach(3) == 1 + 1.5 + 1.75
    assert LocalSgd(momentum=0.5, nesterov=True).reach(2) == 1.5 + 1.75
    halving = LocalSgd.model_validate({"schedule": {"kind": "step", "every": 1, "gamma": 0.5}})
    assert halving.reach(3) == 1.75


def test_a_schedule_is_named_in_one_word() -> None:
    assert LocalSgd.model_validate({"schedule": "cosine"}).rates(0.2, 2) == pytest.approx([0.2, 0.1])


def test_nesterov_alone_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov needs momentum"):
        LocalSgd(nesterov=True)
