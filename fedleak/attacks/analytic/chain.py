"""A network as a chain of linear maps with activations between them, and the linear systems that each map obeys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape

LIMIT = 1e-12
"""Distance that outputs of a saturating activation keep from their limits, so that they can be inverted."""
OFF = 1e-5
"""Share of the largest output below which a ReLU counts as off: single-precision gradients leave it just above zero."""
BASIS = 256
"""Unit vectors that are sent through a layer at a time."""
Weighted = nn.Linear | nn.Conv2d
INVERTIBLE = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh)


@dataclass(frozen=True)
class Link:
    """One linear or convolutional layer and the activation behind it.

    Attributes:
        name: of the layer; its parameters are ``<name>.weight`` and, perhaps, ``<name>.bias``.
        layer: with its stride, padding and dilation; its own weights are not used.
        activation: None for the last layer.
        shape: of its input, ``(C, H, W)`` or ``(M,)``.
    """

    name: str
    layer: Weighted
    activation: nn.Module | None
    shape: tuple[int, ...]

    def apply(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """The layer without its bias: ``(N, *shape)`` -> ``(N, *output shape)``."""
        if isinstance(self.layer, nn.Linear):
            return F.linear(inputs, weight)
        layer = self.layer
        return F.conv2d(inputs, weight, None, _pair(layer.stride), _padding(layer), _pair(layer.dilation))

    def patches(self, inputs: Tensor) -> Tensor:
        """What each output position sees: ``(N, *shape)`` -> ``(N, patch, positions)``."""
        if isinstance(self.layer, nn.Linear):
            return inputs[:, :, None]
        layer = self.layer
        sizes = (_pair(layer.kernel_size), _pair(layer.dilation), _padding(layer), _pair(layer.stride))
        return F.unfold(inputs, *sizes)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _padding(layer: nn.Conv2d) -> tuple[int, int]:
    if isinstance(layer.padding, str):
        raise AttackFailedError(f"R-GAP needs padding in numbers, not {layer.padding!r}")
    return _pair(layer.padding)


def chain_of(module: nn.Module, input_shape: InputShape) -> tuple[Link, ...]:
    """The links of a sequential network, first to last.

    Raises:
        AttackFailedError: naming the module that is neither a plain linear or convolutional layer, nor an activation
            that can be inverted, nor a flattening.
    """
    if not isinstance(module, nn.Sequential):
        raise AttackFailedError(f"R-GAP follows a chain of layers; the network is a {type(module).__name__}")
    links: list[Link] = []
    shape: tuple[int, ...] = input_shape
    for name, part in _flat(module):
        if isinstance(part, nn.Flatten):
            shape = (torch.Size(shape).numel(),)
        elif isinstance(part, INVERTIBLE) and links and links[-1].activation is None:
            links[-1] = Link(links[-1].name, links[-1].layer, part, links[-1].shape)
        elif isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and _is_plain(part)):
            links.append(Link(name, part, None, shape))
            with torch.no_grad():
                shape = tuple(part(torch.zeros(1, *shape)).shape[1:])
        else:
            raise AttackFailedError(f"R-GAP cannot go back through {name or 'the network'}: {type(part).__name__}")
    if not links or links[-1].activation is not None or not isinstance(links[-1].layer, nn.Linear):
        raise AttackFailedError("R-GAP starts from a linear last layer")
    return tuple(links)


def _flat(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, part in module.named_children():
        if isinstance(part, nn.Sequential):
            yield from _flat(part, f"{prefix}{name}.")
        elif not isinstance(part, nn.Identity):
            yield f"{prefix}{name}", part


def _is_plain(layer: nn.Conv2d) -> bool:
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def invert_activation(activation: nn.Module, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pre-activations, whether each is known, and the activation's derivative there; all like ``outputs``.

    A ReLU that is off tells nothing of its pre-activation; its derivative is zero.
    """
    if isinstance(activation, nn.Sigmoid):
        inside = outputs.clamp(LIMIT, 1 - LIMIT)
        return inside.logit(), torch.ones_like(outputs, dtype=torch.bool), inside * (1 - inside)
    if isinstance(activation, nn.Tanh):
        inside = outputs.clamp(LIMIT - 1, 1 - LIMIT)
        return inside.atanh(), torch.ones_like(outputs, dtype=torch.bool), 1 - inside.square()
    slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else 0.0
    positive = outputs > (OFF * float(outputs.abs().max()) if slope == 0 else 0)
    derivative = torch.where(positive, torch.ones_like(outputs), torch.full_like(outputs, slope))
    return torch.where(positive, outputs, outputs / (slope or 1.0)), positive | (slope != 0), derivative


def weight_rows(link: Link, weight: Tensor) -> Tensor:
    """The matrix of the layer itself: inputs ``(n,)`` -> outputs without bias ``(m,)``, ``(m, n)``."""
    parts = [link.apply(basis, weight).flatten(1) for basis in _basis(link.shape, weight)]
    return torch.cat(parts).T


def gradient_rows(link: Link, output_gradient: Tensor) -> Tensor:
    """The matrix that turns inputs ``(n,)`` into the gradient of the layer's weight ``(g,)``, ``(g, n)``.

    Args:
        output_gradient: of the loss for the layer's outputs, ``(O, positions)``.
    """
    parts = [
        torch.einsum("nql,ol->noq", link.patches(basis), output_gradient).flatten(1)
        for basis in _basis(link.shape, output_gradient)
    ]
    return torch.cat(parts).T


def _basis(shape: tuple[int, ...], like: Tensor) -> Iterator[Tensor]:
    """Unit vectors of the input, a few at a time."""
    size = torch.Size(shape).numel()
    for start in range(0, size, BASIS):
        some = range(start, min(size, start + BASIS))
        unit = torch.zeros(len(some), size, dtype=like.dtype)
        unit[torch.arange(len(some)), torch.tensor(list(some))] = 1
        yield unit.reshape(-1, *shape)
