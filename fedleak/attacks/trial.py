"""Trials of the ways in which attacks compute gradients, on random images, before a network is attacked."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedleak.attacks.replay import loss_gradient, outputs_of, split_state
from fedleak.client.trial import agree, trial_batches
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.models.state import precision, trainable, whole_state
from fedleak.tasks.base import LearningTask
from fedleak.tensors import Tensors

IMAGES = 2
"""Per trial; normalisation over one value is an error in training mode."""
TOLERANCE = 1e-3
"""Largest relative difference of gradients; coarser than for clients, because an attack does not record them."""


def runs_in_parallel(module: nn.Module, shape: InputShape, task: LearningTask) -> bool:
    """Whether ``torch.func.vmap`` computes the gradients of several trials of ``module`` at once.

    Args:
        module: as from ``as_replica``.
        shape: of an image, ``(C, H, W)``.
        task: the learning task.

    Raises:
        AttackFailedError: if ``torch.func`` does not compute the network's gradient, even one trial at a time.
    """
    parameters, constants = split_state(module, whole_state(module))
    like = next(module.parameters()).new_zeros((), dtype=precision(module))
    with torch.no_grad():
        images, _ = trial_batches((IMAGES, *shape), (), torch.int64, like=like)
        width = outputs_of(module, parameters, constants, images[0]).shape[1]
    targets = torch.rand(len(images), IMAGES, width, generator=torch.Generator().manual_seed(0)).to(images)

    def size(batch: Tensor, wanted: Tensor) -> tuple[Tensor, Tensors]:
        gradient = loss_gradient(module, parameters, constants, batch, wanted, task=task)
        return torch.stack([tensor.square().sum().to(batch) for tensor in gradient.values()]).sum(), gradient

    def derivatives(batch: Tensor, wanted: Tensor) -> Tensors:
        slope, gradient = grad(size, has_aux=True)(batch, wanted)
        return {**gradient, "images": slope}

    try:
        with sdpa_kernel(SDPBackend.MATH):
            each = [derivatives(batch, wanted) for batch, wanted in zip(images, targets, strict=True)]
    except Exception as error:  # a user's model may raise anything under torch.func
        message = f"torch.func cannot differentiate this network twice: {type(error).__name__}: {error}"
        raise AttackFailedError(message) from error
    first = {name: each[0][name] for name in parameters}
    if not agree(first, _by_autograd(module, images[0], targets[0], task), relative=TOLERANCE):
        raise AttackFailedError("torch.func computes another gradient of this network than autograd does")
    try:
        with sdpa_kernel(SDPBackend.MATH):
            together = vmap(derivatives)(images, targets)
    except Exception:  # a user's model may raise anything under vmap; then trials run one after the other
        return False
    stacked = {name: torch.stack([one[name] for one in each]) for name in each[0]}
    return agree(together, stacked, relative=TOLERANCE)


def _by_autograd(module: nn.Module, images: Tensor, targets: Tensor, task: LearningTask) -> Tensors:
    parameters = trainable(module)
    with torch.enable_grad():
        value = task.soft_loss(module(images), targets)
        gradients = torch.autograd.grad(value, list(parameters.values()), materialize_grads=True)
    return dict(zip(parameters, gradients, strict=True))
