"""Local steps of clients (FedAvg), for many batches at once: torch's optimiser on stacked weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.tensors import Tensors

StepGradients: TypeAlias = Callable[[Tensors, Tensors, Tensor, Tensor], tuple[Tensors, Tensor, Tensors]]
"""(weights ``(n, *shape)``, buffers ``(n, *shape)``, images ``(n, B, C, H, W)``, targets ``(n, B, ...)``) -> gradients
``(n, *shape)``, losses ``(n,)`` and new buffers."""


def train_locally(
    gradients: StepGradients,
    start: Tensors,
    buffers: Tensors,
    images: Tensor,
    targets: Tensor,
    *,
    order: Sequence[Tensor],
    optimizer: AnyOptimizer,
    learning_rate: float,
    proximal_mu: float = 0.0,
) -> tuple[Tensors, Tensors, Tensor]:
    """Weight deltas, new buffers and mean losses after one step on every mini-batch.

    Elementwise optimisers step stacked weights as they would step each client's own. With FedProx (Li et al. 2020,
    arXiv 1812.06127, eq. 2) the local objective has the proximal term ``mu / 2 ||w - w_t||^2``, whose gradient is
    ``mu (w - w_t)`` with the broadcast weights ``w_t``; reported losses are without it.

    Args:
        gradients: gradients of a step.
        start: the broadcast weights that are trained, name -> ``(*shape)``.
        buffers: of each client, ``(n, *shape)``; may be overwritten.
        images: normalised, ``(n, M, C, H, W)``.
        targets: ``(n, M, ...)``.
        order: indices of the images in each step, the same for all clients.
        optimizer: rule of the step; its state starts afresh.
        learning_rate: before the schedule.
        proximal_mu: weight of the proximal term; 0: plain FedAvg.
    """
    weights = {name: nn.Parameter(p.detach().repeat(len(images), *[1] * p.ndim)) for name, p in start.items()}
    stepper = optimizer.torch_optimizer(weights.values(), rate=learning_rate) if weights else None
    losses = []
    for batch, rate in zip(order, optimizer.rates(learning_rate, len(order)), strict=True):
        current = {name: weight.detach() for name, weight in weights.items()}
        gradient, values, buffers = gradients(current, buffers, images[:, batch], targets[:, batch])
        for name, weight in weights.items():
            pull = proximal_mu * (current[name] - start[name]) if proximal_mu else 0.0
            weight.grad = gradient[name] + pull
        if stepper is not None:
            for group in stepper.param_groups:
                group["lr"] = rate
            stepper.step()
        losses.append(values)
    deltas = {name: weight.detach() - start[name] for name, weight in weights.items()}
    return deltas, buffers, torch.stack(losses).mean(dim=0)
