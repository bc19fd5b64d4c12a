"""Client computation: gradients (FedSGD) and local training (FedAvg), for one batch or many independent ones.

A single batch is trained as plain PyTorch does it, by autograd on the module itself. Several batches, such as injected
pairs or the examples of DP-SGD, take a faster way (``torch.func.vmap``, or gradients layer by layer) if it reproduces
plain autograd for this model; see ``fedleak.client.trial``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedleak import seeds
from fedleak.client.local_sgd import PLAIN_SGD
from fedleak.client.local_steps import StepGradients, train_locally
from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.client.per_batch import per_batch_gradients, weighted_layers
from fedleak.client.postprocess.gradient_masking import fits
from fedleak.client.trial import Shared, trial_batches, works
from fedleak.models.modes import in_mode
from fedleak.models.state import at_state, buffers_of, called_with, precision, trainable
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors

Loss = Callable[[Tensors, Tensors, Tensor, Tensor], tuple[Tensor, Tensors]]
Gradients = tuple[Tensors, Tensor, Tensors]
Shapes = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
"""Shape of a batch and of its targets, and the type of the targets."""

VMAP_BYTES = 256 * 2**20
VMAP_BATCHES = 250  # larger groups are no faster on CPUs and need more memory


@dataclass(frozen=True)
class LocalTraining:
    """How a client turns a batch into an update.

    Attributes:
        protocol: ``fedsgd`` shares the gradient of the mean loss, ``fedavg`` the new weights minus the old ones.
        batch_size, epochs, learning_rate: settings of the local steps (``fedavg`` only).
        train_mode: run normalisation layers in training mode.
        optimizer: local optimiser: SGD with its options, or another kind.
        proximal_mu: weight of FedProx's proximal term, see ``train_locally``.
        frozen: patterns of the parameters that the local steps do not train.
        task: the learning task.
        dropout: run dropout, and everything else but normalisation that differs in training, in training mode.
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
    dropout: bool = False


@dataclass(frozen=True)
class Updates:
    """``n`` updates: name -> ``(n, *shape)``; new buffers likewise; mean loss of each, ``(n,)``."""

    tensors: Tensors
    buffers: Tensors
    losses: Tensor


def compute_updates(
    model: nn.Module, images: Tensor, targets: Tensor, training: LocalTraining, *, seed: seeds.Root
) -> Updates:
    """Updates of ``n`` independent clients' batches from one common model.

    Args:
        model: architecture, parameters and buffers; not changed. Parameters that do not require gradients are neither
            trained nor part of the updates.
        images: normalised, ``(n, M, C, H, W)``; the network gets them in its own precision.
        targets: targets of the images, ``(n, M, ...)``, as the loss of the task takes them.
        training: settings of the local training.
        seed: root of mini-batch order and dropout.
    """
    parameters = {name: p.detach() for name, p in trainable(model).items()}
    buffers = buffers_of(model)
    images = images.to(precision(model))
    count = sum(p.numel() for p in parameters.values()) + images[0].numel()
    group = max(1, min(VMAP_BATCHES, VMAP_BYTES // (4 * count)))
    work = _Work(model, parameters, training, mini_batches(images.shape[1], training, seed))
    with (
        in_mode(model, normalisation=training.train_mode, dropout=training.dropout),
        seeds.global_torch_seed(seed),
        torch.enable_grad(),
    ):
        spans = [slice(start, start + group) for start in range(0, len(images), group)]
        parts = [_group(work, buffers, images[some], targets[some]) for some in spans]
    return Updates(
        tensors={name: _joined([part[0][name] for part in parts]) for name in parameters},
        buffers={name: _joined([part[1][name] for part in parts]) for name in parts[0][1]},
        losses=_joined([part[2] for part in parts]),
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)  # a single group needs no copy


def mini_batches(samples: int, training: LocalTraining, seed: seeds.Root) -> list[Tensor]:
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

    def steps(self, gradients: StepGradients, buffers: Tensors, images: Tensor, targets: Tensor) -> Shared:
        """Deltas, new buffers and mean losses after the local steps of ``n`` batches ``(n, M, C, H, W)``."""
        deltas, buffers, losses = train_locally(
            gradients,
            self.trained,
            buffers,
            images,
            targets,
            order=self.order,
            optimizer=self.training.optimizer,
            learning_rate=self.training.learning_rate,
            proximal_mu=self.training.proximal_mu,
        )
        still = {n: p.new_zeros(len(images), *p.shape) for n, p in self.parameters.items() if n not in deltas}
        return {name: (deltas | still)[name] for name in self.parameters}, buffers, losses

    def loss(self, trained: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensors]:
        """Loss of one batch, and its buffers, into which normalisation layers write."""
        outputs = called_with(self.model, self.parameters | trained | buffers, x)
        return self.training.task.loss(outputs, y), buffers


Way = Callable[[_Work, Tensors, Tensor, Tensor], Shared]


def _group(work: _Work, buffers: Tensors, images: Tensor, targets: Tensor) -> Shared:
    many = len(images) > 1
    shapes = (tuple(images.shape[1:]), tuple(targets.shape[1:]), targets.dtype) if many else None
    way = _fastest_way(work.model, work.training, shapes) if shapes else _one_by_one
    return way(work, buffers, images, targets)


def _one_by_one(work: _Work, buffers: Tensors, images: Tensor, targets: Tensor) -> Shared:
    """Each batch by itself, as plain PyTorch would train on it."""
    gradients, parts = partial(_autograd_of_one, work), []
    for batch, wanted in zip(images[:, None], targets[:, None], strict=True):
        own = {name: b[None].clone() for name, b in buffers.items()}
        if work.training.protocol == "fedsgd":
            start = {name: p[None] for name, p in work.parameters.items()}
            gradient, losses, new = gradients(start, own, batch, wanted)
            parts.append((gradient, new, losses))
        else:
            parts.append(work.steps(gradients, own, batch, wanted))
    updates, new_buffers, all_losses = zip(*parts, strict=True)
    return _in_a_row(updates), _in_a_row(new_buffers), torch.cat(all_losses)


def _in_a_row(each: Sequence[Tensors]) -> Tensors:
    return {name: torch.cat([tensors[name] for tensors in each]) for name in each[0]}


def _vectorised(work: _Work, buffers: Tensors, images: Tensor, targets: Tensor) -> Shared:
    """All batches in parallel."""
    own = {name: b.unsqueeze(0).repeat(len(images), *[1] * b.ndim) for name, b in buffers.items()}
    with sdpa_kernel(SDPBackend.MATH):  # vmap has no rule for the fused kernels and would loop
        if work.training.protocol == "fedsgd":
            each = vmap(partial(_functional, work.loss, work.parameters), randomness="different")
            gradient, losses, new = each(own, images, targets)
            return gradient, new, losses
        return work.steps(vmap(partial(_functional, work.loss), randomness="different"), own, images, targets)


def _layer_by_layer(work: _Work, buffers: Tensors, images: Tensor, targets: Tensor) -> Shared:
    """All batches in one pass, for gradients of networks of plain layers."""
    layers = weighted_layers(work.model) or {}
    quick = per_batch_gradients(work.model, layers, images, targets, task=work.training.task)
    return _vectorised(work, buffers, images, targets) if quick is None else (quick[0], {}, quick[1])


@lru_cache(maxsize=4)
def _fastest_way(model: nn.Module, training: LocalTraining, shapes: Shapes) -> Way:
    """The fastest way to the updates of many batches that reproduces plain autograd on random images."""
    parameters = {name: p.detach() for name, p in trainable(model).items()}
    work, buffers = _Work(model, parameters, training, mini_batches(shapes[0][0], training, 0)), buffers_of(model)
    with seeds.global_torch_seed(0):
        batches = trial_batches(*shapes, like=next(iter(parameters.values())))
        plain = _one_by_one(work, buffers, *batches)
        if not works(partial(_vectorised, work, buffers, *batches), plain):
            return _one_by_one
        simple = training.protocol == "fedsgd" and not buffers and weighted_layers(model)
        quick = simple and works(partial(_layer_by_layer, work, buffers, *batches), plain)
    return _layer_by_layer if quick else _vectorised


def _functional(loss: Loss, trained: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> Gradients:
    """Gradient, loss and new buffers, in a form that ``vmap`` can run for many batches."""
    gradient, (value, new) = grad_and_value(loss, has_aux=True)(trained, buffers, x, y)
    return gradient, value, new


def _autograd_of_one(work: _Work, weights: Tensors, buffers: Tensors, images: Tensor, targets: Tensor) -> Gradients:
    """Gradient, loss and new buffers of one batch, by autograd on the module itself; all with a dimension of one."""
    own, held = ({name: tensor[0] for name, tensor in group.items()} for group in (weights, buffers))
    with at_state(work.model, own, held) as parameters:
        value = work.training.task.loss(work.model(images[0]), targets[0])
        found = torch.autograd.grad(value, list(parameters.values()), materialize_grads=True)  # zero where unused
        gradient = {name: tensor[None] for name, tensor in zip(parameters, found, strict=True)}
        return gradient, value.detach()[None], {name: b[None] for name, b in buffers_of(work.model).items()}
