"""Gradients of wide layers in factored form, without materialising the product.

The gradient of a weight ``(M, K)`` is ``errors @ inputs.T``, with ``L`` columns of each: one for every position of
every image. Its norm and its inner product with another gradient follow from the factors, which are far smaller if
``L`` is small. Known as the ghost norm in differentially private training (Goodfellow 2015, arXiv 1510.01799; for
convolutions and with a rule for when it pays off: Bu et al. 2022, arXiv 2205.10683).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad

from fedleak import seeds
from fedleak.attacks.replay import loss_gradient, outputs_of
from fedleak.examples import InputShape
from fedleak.models.state import precision
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors

WIDE = 2**15
"""Number of values of a weight from which the factored form is used."""


@dataclass(frozen=True)
class Factors:
    """The gradient ``errors @ inputs.T`` of one weight.

    Attributes:
        errors: ``(M, L)``, derivatives of the loss with respect to the layer's outputs.
        inputs: ``(K, L)``, the layer's inputs.
    """

    errors: Tensor
    inputs: Tensor

    def inner(self, other: Tensor) -> Tensor:
        """Inner product with a full gradient ``(M, ...)``."""
        return torch.dot(self.errors.flatten(), (other.flatten(1) @ self.inputs).flatten())

    def squared_norm(self) -> Tensor:
        """``||errors @ inputs.T||^2``."""
        return torch.dot((self.errors.T @ self.errors).flatten(), (self.inputs.T @ self.inputs).flatten())


Gradient = dict[str, Tensor | Factors]
WideLayers = Mapping[str, torch.Size]
"""Layers by name, with their output shapes."""


def written_out(part: Tensor | Factors, like: Tensor) -> Tensor:
    """The full gradient in the shape of ``like``."""
    return part if isinstance(part, Tensor) else (part.errors @ part.inputs.T).reshape(like.shape)


def factored_gradient(
    module: nn.Module,
    weights: Tensors,
    constants: Tensors,
    images: Tensor,
    targets: Tensor,
    layers: WideLayers,
    *,
    task: LearningTask = CLASSIFICATION,
) -> Gradient:
    """Gradient of the mean loss for every weight, for the weights of ``layers`` as factors.

    Args:
        weights: the weights to differentiate for.
        constants: buffers and all other weights.
        images: normalised ``(B, C, H, W)``.
        targets: soft targets ``(B, K)``.
        layers: as from ``wide_layers``, for the same number of images.
    """
    chosen = {name: size for name, size in layers.items() if f"{name}.weight" in weights}
    plain = {name: weight for name, weight in weights.items() if name.removesuffix(".weight") not in chosen}
    fixed = constants | {name: weight for name, weight in weights.items() if name not in plain}
    shifts = {name: images.new_zeros(size) for name, size in chosen.items()}

    def loss(point: Tensors, shift: Tensors) -> tuple[Tensor, Tensors]:
        with _watched(module, shift) as taken:
            logits = outputs_of(module, point, fixed, images)
        return task.soft_loss(logits, targets), taken

    (gradient, errors), taken = grad(loss, argnums=(0, 1), has_aux=True)(plain, shifts)
    factors = {
        f"{name}.weight": Factors(_rows(module.get_submodule(name), errors[name]), taken[name]) for name in chosen
    }
    return {name: factors[name] if name in factors else gradient[name] for name in weights}


@lru_cache(maxsize=4)
def wide_layers(module: nn.Module, shape: InputShape, images: int) -> WideLayers:
    """Layers whose factors are smaller than the gradient and reproduce it, with their output shapes.

    This is tested on random images, so that a weight that is shared, or used twice, or whose module is bypassed is left
    out.

    Args:
        shape: of an image, ``(C, H, W)``.
        images: in a batch.
    """
    first = next(module.parameters())
    batch = torch.randn(images, *shape, generator=seeds.torch_generator(0, "wide-layers"))
    batch = batch.to(first.device, precision(module))
    layers = _paying(module, batch)
    if not layers:
        return {}
    weights = {name: weight.detach() for name, weight in module.named_parameters()}
    buffers = dict(module.named_buffers())
    with torch.no_grad():
        classes = outputs_of(module, weights, buffers, batch).shape[1]
    targets = F.one_hot(torch.arange(images, device=first.device) % classes, classes).to(batch)
    plain = loss_gradient(module, weights, buffers, batch, targets)
    factored = factored_gradient(module, weights, buffers, batch, targets, layers)
    return {name: size for name, size in layers.items() if _agree(factored[f"{name}.weight"], plain[f"{name}.weight"])}


def _paying(module: nn.Module, batch: Tensor) -> dict[str, torch.Size]:
    """Wide layers that are called and whose factors have fewer values than their weight."""
    sizes: dict[str, torch.Size] = {}

    def note(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def after(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            outputs, inputs = layer.get_parameter("weight").flatten(1).shape
            if output.numel() // outputs * (outputs + inputs) < outputs * inputs:
                sizes[name] = output.shape

        return layer.register_forward_hook(after)

    handles = [note(name, layer) for name, layer in module.named_modules() if _fits(layer)]
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return sizes


def _agree(factored: Tensor | Factors, plain: Tensor) -> bool:
    product = written_out(factored, plain)
    return torch.allclose(product, plain, rtol=1e-2, atol=1e-3 * float(plain.abs().max()))


def _fits(layer: nn.Module) -> bool:
    """Whether ``layer`` is large and its inputs can be unfolded into columns."""
    if any((layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)) or "forward" in vars(layer):
        return False
    if type(layer) is nn.Conv2d:
        plain = layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return plain and layer.weight.numel() >= WIDE
    return type(layer) is nn.Linear and layer.weight.numel() >= WIDE


@contextmanager
def _watched(module: nn.Module, shifts: Tensors) -> Iterator[Tensors]:
    """Add ``shifts`` to the outputs of layers, to differentiate for them; yields the inputs as columns ``(K, L)``.

    A convolution is computed as a product with its columns, because the double backward pass of torch's convolution
    always computes a derivative for the weights.
    """
    taken: Tensors = {}

    def convolve(name: str, layer: nn.Conv2d, images: Tensor) -> Tensor:
        assert not isinstance(layer.padding, str)  # noqa: S101 - for the type; _fits leaves those out
        patches = F.unfold(
            images, layer.kernel_size, dilation=layer.dilation, padding=layer.padding, stride=layer.stride
        )
        taken[name] = patches.transpose(0, 1).flatten(1)
        given = (layer.weight.flatten(1) @ patches).reshape(shifts[name].shape) + shifts[name]
        return given if layer.bias is None else given + layer.bias[:, None, None]

    def project(name: str, layer: nn.Linear, vectors: Tensor) -> Tensor:
        taken[name] = vectors.reshape(-1, vectors.shape[-1]).T.clone()  # later layers may overwrite them
        return F.linear(vectors, layer.weight, layer.bias) + shifts[name]

    layers = {name: module.get_submodule(name) for name in shifts}
    for name, layer in layers.items():  # an attribute hides the method of the class until it is deleted
        if isinstance(layer, nn.Conv2d):
            setattr(layer, "forward", partial(convolve, name, layer))  # noqa: B010
        elif isinstance(layer, nn.Linear):
            setattr(layer, "forward", partial(project, name, layer))  # noqa: B010
    try:
        yield taken
    finally:
        for layer in layers.values():
            delattr(layer, "forward")


def _rows(layer: nn.Module, errors: Tensor) -> Tensor:
    """Derivatives for a layer's outputs, ``(M, L)``, in the order of its columns."""
    if isinstance(layer, nn.Conv2d):
        return errors.transpose(0, 1).flatten(1)
    return errors.reshape(-1, errors.shape[-1]).T
