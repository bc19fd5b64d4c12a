from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fedleak.attacks.inversion.optimisers import Optimiser, adam_rates, adam_step, learning_rate_at, no_moments


def test_adam_is_torchs_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, generator=generator)
    reference = start.clone().requires_grad_(True)
    solver = torch.optim.Adam([reference], lr=0.1)
    variables, moments = {"code": start}, no_moments({"code": start})
    for iteration in range(20):
        gradient = torch.randn(4, 3, generator=generator)
        reference.grad = gradient.clone()
        solver.step()
        rates = torch.tensor(adam_rates(0.1, iteration))
        variables, moments = adam_step(variables, {"code": gradient}, moments, rates)
    torch.testing.assert_close(variables["code"], reference.detach())


@pytest.mark.parametrize(("iteration", "rate"), [(0, 1), (29, 1), (30, 0.1), (49, 0.1), (50, 0.01), (70, 0.001)])
def test_the_step_schedule_divides_by_ten_three_times(iteration: int, rate: float) -> None:
    """3/8, 5/8 and 7/8 of 80 are 30, 50 and 70."""
    settings = Optimiser(learning_rate=1.0, schedule="step")
    assert learning_rate_at(settings, iteration, 80) == pytest.approx(rate)


@pytest.mark.parametrize(("iteration", "rate"), [(0, 0.25), (3, 1), (4, 1), (8, 0.5), (11, 0.5 * (1 - 0.923879533))])
def test_the_cosine_schedule_after_a_warm_up(iteration: int, rate: float) -> None:
    """Four iterations up, eight down: half way at iteration 8."""
    settings = Optimiser(learning_rate=1.0, schedule="cosine", warm_up=4)
    assert learning_rate_at(settings, iteration, 12) == pytest.approx(rate, abs=1e-8)


@pytest.mark.parametrize("setting", ["langevin", "gradient_blend", "plateau"])
def test_lbfgs_refuses_what_it_would_ignore(setting: str) -> None:
    with pytest.raises(ValidationError, match=f"lbfgs does not support {setting}"):
        Optimiser.model_validate({"kind": "lbfgs", setting: 1})


def test_a_constant_rate_stays() -> None:
    assert {learning_rate_at(Optimiser(schedule="constant"), i, 10) for i in range(10)} == {0.1}
