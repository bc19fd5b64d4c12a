"""Differentiable replay of a client: the update that it would have shared for trial images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from fedleak import seeds
from fedleak.client.local_sgd import PLAIN_SGD
from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.client.postprocess.gradient_masking import fits
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors

Order = tuple[tuple[int, ...], ...]
"""For each local step, the positions in the batch of the images that it uses."""


@dataclass(frozen=True)
class LocalSteps:
    """Local steps as the attacker knows or assumes them.

    Attributes:
        learning_rate: of every step, before the schedule.
        batches: for each step, the positions in the batch of the images that it uses.
        optimizer: SGD with its options, or another kind.
        proximal_mu: weight of FedProx's proximal term.
        frozen: patterns of the parameters that are not trained.
        alternatives: other possible steps; the trial update is averaged over these and the alternatives.
    """

    learning_rate: float
    batches: Order
    optimizer: AnyOptimizer = PLAIN_SGD
    proximal_mu: float = 0.0
    frozen: tuple[str, ...] = ()
    alternatives: tuple[LocalSteps, ...] = ()

    @property
    def every(self) -> tuple[LocalSteps, ...]:
        """These steps and their alternatives, all with the same parameters frozen."""
        return (self, *(replace(steps, frozen=self.frozen) for steps in self.alternatives))


def assumed_order(samples: int, *, batch_size: int, epochs: int) -> Order:
    """The same consecutive mini-batches in every epoch; the search decides which image is in which mini-batch."""
    positions = tuple(range(samples))
    epoch = tuple(positions[start : start + batch_size] for start in range(0, samples, batch_size))
    return epoch * epochs


def random_orders(samples: int, *, batch_size: int, epochs: int, count: int) -> tuple[Order, ...]:
    """``count`` random image orders with a new permutation in every epoch; the same arguments give the same orders."""
    generator = seeds.torch_generator(0, "assumed-orders", samples, batch_size, epochs)
    orders = []
    for _ in range(count):
        epoch = [torch.split(torch.randperm(samples, generator=generator), batch_size) for _ in range(epochs)]
        orders.append(tuple(tuple(int(i) for i in batch) for batches in epoch for batch in batches))
    return tuple(orders)


def loss_gradient(
    module: nn.Module,
    parameters: Tensors,
    buffers: Tensors,
    images: Tensor,
    targets: Tensor,
    *,
    task: LearningTask = CLASSIFICATION,
) -> Tensors:
    """Gradient of the mean loss for every parameter.

    Args:
        module: the network; its own parameters are not used.
        images: normalised ``(B, C, H, W)``.
        targets: soft targets ``(B, K)``, class probabilities for classification.
        task: what the network is trained for.
    """

    def loss(weights: Tensors) -> Tensor:
        return task.soft_loss(functional_call(module, (weights, buffers), (images,)), targets)

    gradient: Tensors = grad(loss)(parameters)
    return gradient


def replay(
    module: nn.Module,
    parameters: Tensors,
    buffers: Tensors,
    images: Tensor,
    targets: Tensor,
    steps: LocalSteps | None,
    *,
    task: LearningTask = CLASSIFICATION,
) -> Tensors:
    """The client's update: a gradient, or after local ``steps`` the new weights minus the old ones.

    With alternatives, the mean over ``steps`` and all alternatives.
    """
    if steps is None:
        return loss_gradient(module, parameters, buffers, images, targets, task=task)
    deltas = [_trained(module, parameters, buffers, images, targets, one, task) for one in steps.every]
    if len(deltas) == 1:
        return deltas[0]
    return {name: torch.stack([delta[name] for delta in deltas]).mean(dim=0) for name in parameters}


def _trained(
    module: nn.Module,
    parameters: Tensors,
    buffers: Tensors,
    images: Tensor,
    targets: Tensor,
    steps: LocalSteps,
    task: LearningTask,
) -> Tensors:
    """New weights minus old weights after one step on each mini-batch, as ``train_locally`` takes them."""
    start = {name: weight for name, weight in parameters.items() if not fits(name, steps.frozen)}
    constants = buffers | {name: weight for name, weight in parameters.items() if name not in start}
    weights: Tensors = start
    state: Mapping[str, Tensors] = {}
    rates = steps.optimizer.rates(steps.learning_rate, len(steps.batches))
    for number, (batch, rate) in enumerate(zip(steps.batches, rates, strict=True), start=1):
        index = torch.tensor(batch, device=images.device)
        gradient = loss_gradient(
            module, weights, constants, images.index_select(0, index), targets.index_select(0, index), task=task
        )
        if steps.proximal_mu:
            gradient = {n: g + steps.proximal_mu * (weights[n] - start[n]) for n, g in gradient.items()}
        weights, state = steps.optimizer.step(weights, gradient, state, rate=rate, number=number)
    return {name: weights.get(name, weight) - weight for name, weight in parameters.items()}


def replica(module: nn.Module, *, train_mode: bool) -> nn.Module:
    """A copy of ``module`` that replays the client without side effects.

    In training mode, batch normalisation uses the statistics of the batch and does not track running statistics.
    Dropout stays off, because the attacker does not know the masks.
    """
    twin = copy.deepcopy(module).eval()
    for layer in twin.modules():
        if train_mode and isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.train()
            layer.track_running_stats = False
    return twin.requires_grad_(False)


def split_state(module: nn.Module, state: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """Parameters and buffers of ``module`` taken from a state dictionary, with its data types."""
    parameters = {name: state[name].detach() for name, _ in module.named_parameters()}
    buffers = {name: state[name].detach() for name, _ in module.named_buffers()}
    return parameters, buffers
