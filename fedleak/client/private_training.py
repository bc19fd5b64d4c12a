"""DP-SGD in every local step of a client (FedAvg)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fedleak import seeds
from fedleak.client.dp_sgd import DpSgd, poisson_batches
from fedleak.client.local_steps import train_locally
from fedleak.client.local_training import LocalTraining, mini_batches
from fedleak.client.postprocess.gradient_masking import fits
from fedleak.client.private_gradient import private_gradient
from fedleak.tensors import Tensors


def train_privately(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    training: LocalTraining,
    *,
    settings: DpSgd,
    generator: torch.Generator,
    seed: seeds.Root,
) -> tuple[Tensors, Tensor]:
    """Weight deltas after local steps along private gradients (Abadi et al. 2016, arXiv 1607.00133, algorithm 1).

    Args:
        model: a model without layers that mix examples, such as batch statistics; not changed.
        images: normalised, ``(M, C, H, W)``.
        targets: targets of the images, ``(M, ...)``, as the loss of the task takes them.
        training: the local training; its optimiser steps along the private gradients.
        settings: clipping bound, noise and sampling of mini-batches.
        generator: random generator of the noise.
        seed: seed of the mini-batches.

    Returns:
        Name -> new weights minus old ones, and the mean loss over the steps that had images.
    """
    twin, count = copy.deepcopy(model), len(images)
    every = {name: p for name, p in twin.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in every.items() if not fits(name, training.frozen)}
    order, expected = mini_batches(count, training, seed), None
    if settings.sampling == "poisson":
        order = poisson_batches(count, batch_size=training.batch_size, epochs=training.epochs, seed=seed)
        expected = min(training.batch_size, count)

    def gradients(weights: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> tuple[Tensors, Tensor, Tensors]:
        with torch.no_grad():
            for name, weight in weights.items():
                every[name].copy_(weight[0])
        gradient, loss = private_gradient(
            twin, x[0], y[0], settings=settings, generator=generator, task=training.task, expected=expected
        )
        return {name: gradient[name].unsqueeze(0) for name in weights}, loss, buffers

    deltas, _, losses = train_locally(
        gradients,
        start,
        {},
        images.unsqueeze(0),
        targets.unsqueeze(0),
        order=order,
        optimizer=training.optimizer,
        learning_rate=training.learning_rate,
        proximal_mu=training.proximal_mu,
    )
    moved = {name: delta[0] for name, delta in deltas.items()}
    return {name: moved.get(name, torch.zeros_like(p.detach())) for name, p in every.items()}, losses
