"""Differentiable replay of a client: the update that it would have shared for trial images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from fedleak import seeds
from fedleak.client.local_sgd import PLAIN_SGD
from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.client.postprocess.gradient_masking import fits
from fedleak.models.modes import NORMALISATION, set_mode
from fedleak.models.state import called_with, precision, trainable
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors

REDUCED = (torch.float16, torch.bfloat16)
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


def outputs_of(module: nn.Module, weights: Tensors, constants: Tensors, images: Tensor) -> Tensor:
    """Outputs ``(B, K)`` of a replica for normalised images ``(B, C, H, W)``, computed in its precision."""
    images = images.to(precision(module))
    if not torch.compiler.is_compiling() and _has_layers_of_two_names(module):
        return called_with(module, weights | constants, images)
    outputs: Tensor = functional_call(module, (weights, constants), (images,))
    return outputs


@lru_cache(maxsize=8)
def _has_layers_of_two_names(module: nn.Module) -> bool:
    layers = [layer for _, layer in module.named_modules(remove_duplicate=False) if layer._parameters or layer._buffers]
    return len(set(layers)) < len(layers)


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
        return task.soft_loss(outputs_of(module, weights, buffers, images), targets)

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
    """A copy of ``module`` that replays the client without side effects; see ``as_replica``."""
    return as_replica(copy.deepcopy(module), train_mode=train_mode)


def as_replica(module: nn.Module, *, train_mode: bool) -> nn.Module:
    """Prepare a new network for replaying a client without side effects; it is changed and returned.

    In training mode, normalisation uses the statistics of the batch and does not track running statistics. Dropout
    stays off, because the attacker does not know the masks. Half precision becomes single precision: the attacker is
    free to compute with more digits than the client.
    """
    set_mode(module, normalisation=train_mode, dropout=False)
    for layer in module.modules():
        if layer.training and isinstance(layer, NORMALISATION) and hasattr(layer, "track_running_stats"):
            layer.track_running_stats = False
        if isinstance(layer, nn.RNNBase):  # it keeps a list of its weights, which functional_call does not replace
            layer.register_forward_pre_hook(_list_weights)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dtype in REDUCED:
            tensor.data = tensor.data.float()
    return module


def _list_weights(layer: nn.Module, _: tuple[Tensor, ...]) -> None:
    if isinstance(layer, nn.RNNBase):
        layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]


def split_state(module: nn.Module, state: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """A state as the parameters that clients train, and the constants: frozen parameters and buffers.

    Args:
        module: the network; half precision becomes single precision, as in ``as_replica``.
        state: parameters and buffers by name; buffers outside a state dictionary may be missing.
    """
    trained, persistent = trainable(module), module.state_dict().keys()
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found = {n: state[n] if n in state or n in persistent else t.to(_device(state)) for n, t in named.items()}
    whole = {n: (t.float() if t.dtype in REDUCED else t).detach() for n, t in found.items()}
    return {n: whole[n] for n in trained}, {n: t for n, t in whole.items() if n not in trained}


def _device(state: Mapping[str, Tensor]) -> torch.device:
    return next(iter(state.values())).device
