"""Client computation: gradients (FedSGD) and local training (FedAvg), for many batches at once.

``torch.func.vmap`` runs independent batches in parallel: the compromised client computes thousands of injected batches
with the same code as a single one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedleak import seeds
from fedleak.client.local_sgd import PLAIN_SGD
from fedleak.client.local_steps import train_locally
from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.client.per_batch import per_batch_gradients, weighted_layers
from fedleak.client.postprocess.gradient_masking import fits
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors

Loss = Callable[[Tensors, Tensors, Tensor, Tensor], tuple[Tensor, Tensors]]
Shared = tuple[Tensors, Tensors, Tensor]
"""Updates, new buffers and losses of several batches, stacked along a first dimension."""
Gradients = tuple[Tensors, Tensor, Tensors]
Stacked = tuple[Tensors, Tensor, Tensors]
"""Gradients, losses and buffers of several batches, stacked along a first dimension."""

VMAP_BYTES = 256 * 2**20
VMAP_BATCHES = 250  # larger groups are no faster on CPUs and need more memory


@dataclass(frozen=True)
class LocalTraining:
    """How a client turns a batch into an update.

    Attributes:
        protocol: ``fedsgd`` shares the gradient of the mean loss, ``fedavg`` the new weights minus the old ones.
        batch_size, epochs, learning_rate: settings of the local steps (``fedavg`` only).
        train_mode: run normalisation and dropout layers in training mode.
        optimizer: local optimiser: SGD with its options, or another kind.
        proximal_mu: weight of FedProx's proximal term, see ``train_locally``.
        frozen: patterns of the parameters that the local steps do not train.
        task: the learning task.
    """

    protocol: str
    batch_size: int
    epochs: int
    learning_rate: float
    train_mode: bool
    optimizer: AnyOptimizer = PLAIN_SGD
    proximal_mu: float = 0.0
    frozen: tuple[str, ...] = ()
    task: LearningTask = CLASSIFICATION


@dataclass(frozen=True)
class Updates:
    """``n`` updates: name -> ``(n, *shape)``; new buffers likewise; mean loss of each, ``(n,)``."""

    tensors: Tensors
    buffers: Tensors
    losses: Tensor


def compute_updates(
    model: nn.Module, images: Tensor, targets: Tensor, training: LocalTraining, *, seed: int
) -> Updates:
    """Updates of ``n`` independent clients' batches from one common model.

    Args:
        model: architecture, parameters and buffers; not changed.
        images: normalised, ``(n, M, C, H, W)``.
        targets: targets of the images, ``(n, M, ...)``, as the loss of the task takes them.
        training: settings of the local training.
        seed: seed of mini-batch order and dropout.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = {name: b.detach() for name, b in model.named_buffers()}
    count = sum(p.numel() for p in parameters.values()) + images[0].numel()
    group = max(1, min(VMAP_BATCHES, VMAP_BYTES // (4 * count)))
    work = _Work(model, parameters, training, mini_batches(images.shape[1], training, seed))
    was_training = model.training
    model.train(training.train_mode)
    try:
        parts = []
        with seeds.global_torch_seed(seed):
            for start in range(0, len(images), group):
                some = slice(start, start + group)
                parts.append(_group(work, buffers, images[some], targets[some]))
    finally:
        model.train(was_training)
    return Updates(
        tensors={name: _joined([part[0][name] for part in parts]) for name in parameters},
        buffers={name: _joined([part[1][name] for part in parts]) for name in buffers},
        losses=_joined([part[2] for part in parts]),
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)  # a single group needs no copy


def mini_batches(samples: int, training: LocalTraining, seed: int) -> list[Tensor]:
    """Indices of the images in each local step; every epoch uses a new permutation."""
    if training.protocol == "fedsgd":
        return [torch.arange(samples)]
    generator = seeds.torch_generator(seed, "order")
    batches: list[Tensor] = []
    for _ in range(training.epochs):
        batches += torch.split(torch.randperm(samples, generator=generator), training.batch_size)
    return batches


@dataclass(frozen=True)
class _Work:
    """Data shared by all batches of a call: initial parameters, and image indices of each local step."""

    model: nn.Module
    parameters: Tensors
    training: LocalTraining
    order: list[Tensor]

    @property
    def trained(self) -> Tensors:
        """The parameters that local steps change."""
        return {name: p for name, p in self.parameters.items() if not fits(name, self.training.frozen)}

    def gradients(self, weights: Tensors, buffers: Tensors, images: Tensor, targets: Tensor) -> Stacked:
        """Gradients, losses and new buffers of ``n`` batches, each at its own weights ``(n, *shape)``."""
        if len(images) == 1:  # for a single batch autograd is faster than functional gradients
            own, held = ({name: tensor[0] for name, tensor in group.items()} for group in (weights, buffers))
            gradient, value, new = _autograd(self._loss, own, held, images[0], targets[0])
            return _stacked(gradient), value[None], _stacked(new)
        with sdpa_kernel(SDPBackend.MATH):  # vmap has no rule for the fused kernels and would loop
            found: Stacked = vmap(partial(_functional, self._loss), randomness="different")(
                weights, buffers, images, targets
            )
        return found

    def shared_gradients(self, buffers: Tensors, images: Tensor, targets: Tensor) -> Stacked:
        """The same at the initial parameters, which the batches share."""
        if len(images) == 1:
            return self.gradients(_stacked(self.parameters), buffers, images, targets)
        with sdpa_kernel(SDPBackend.MATH):
            found: Stacked = vmap(partial(_functional, self._loss, self.parameters), randomness="different")(
                buffers, images, targets
            )
        return found

    def _loss(self, trained: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensors]:
        # Normalisation layers write into the buffers; these belong to this batch only.
        outputs = functional_call(self.model, (self.parameters | trained, buffers), (x,))
        return self.training.task.loss(outputs, y), buffers


def _group(work: _Work, buffers: Tensors, images: Tensor, targets: Tensor) -> Shared:
    training = work.training
    layers = weighted_layers(work.model) if training.protocol == "fedsgd" and not training.train_mode else None
    if layers and not buffers:
        quick = per_batch_gradients(work.model, layers, images, targets, task=training.task)
        if quick is not None:
            return quick[0], {}, quick[1]

    own = {name: b.unsqueeze(0).repeat(len(images), *[1] * b.ndim) for name, b in buffers.items()}
    if training.protocol == "fedsgd":
        gradient, losses, own = work.shared_gradients(own, images, targets)
        return gradient, own, losses
    deltas, own, losses = train_locally(
        work.gradients,
        work.trained,
        own,
        images,
        targets,
        order=work.order,
        optimizer=training.optimizer,
        learning_rate=training.learning_rate,
        proximal_mu=training.proximal_mu,
    )
    still = {n: p.new_zeros(len(images), *p.shape) for n, p in work.parameters.items() if n not in deltas}
    return deltas | still, own, losses


def _stacked(tensors: Tensors) -> Tensors:
    return {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}


def _functional(loss: Loss, trained: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> Gradients:
    """Gradient, loss and new buffers, in a form that ``vmap`` can run for many batches."""
    gradient, (value, new) = grad_and_value(loss, has_aux=True)(trained, buffers, x, y)
    return gradient, value, new


def _autograd(loss: Loss, trained: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> Gradients:
    """Gradient, loss and new buffers of one batch, by autograd."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in trained.items()}
    value, new = loss(leaves, buffers, x, y)
    gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)  # zero where unused
    return dict(zip(leaves, gradients, strict=True)), value.detach(), new
