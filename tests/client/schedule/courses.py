"""The learning rates of torch's own schedulers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LRScheduler

from fedleak.client.schedule.base import Schedule


def torch_factors(make: Callable[[torch.optim.SGD], LRScheduler], steps: int) -> list[float]:
    """Factors of ``steps`` steps."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimiser)
    factors = []
    for _ in range(steps):
        factors.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return factors


def own_factors(schedule: Schedule, steps: int) -> list[float]:
    return [schedule.factor(step, steps=steps) for step in range(steps)]
