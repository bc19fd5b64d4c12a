"""Dropout whose masks are variables of the search (Scheliga et al. 2023, arXiv 2208.06163)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from fedleak.examples import InputShape
from fedleak.models.state import precision
from fedleak.tensors import Tensors

MASKS = "mask."
"""Prefix of variables that are masks of dropout layers, before the name of the layer."""
BUFFER = ".mask"
"""Suffix of the buffers that hold them, after the name of the layer."""
WHOLE_CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class MaskedDropout(nn.Module):
    """Dropout with a given mask: multiplies by ``mask / (1 - rate)``.

    Args:
        rate: probability of dropping a unit, in (0, 1).
        whole_channels: whether a mask value drops a channel instead of a unit.
    """

    mask: Tensor

    def __init__(self, rate: float, *, whole_channels: bool) -> None:
        super().__init__()
        self.rate = rate
        self.whole_channels = whole_channels
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, units: Tensor) -> Tensor:
        """Masked and scaled units ``(B, ...)``."""
        return units * self.mask / (1 - self.rate)

    def mask_shape(self, units: Tensor) -> tuple[int, ...]:
        """Shape of the mask of one example for units ``(B, ...)``."""
        shape = tuple(units.shape[1:])
        return (shape[0], *[1] * (len(shape) - 1)) if self.whole_channels else shape


def with_masks(module: nn.Module) -> nn.Module:
    """``module`` with a ``MaskedDropout`` in place of every dropout layer that drops units; it is changed and returned.

    Dropout that a network calls as a function is not found; alpha dropout is left out, because it shifts units, too.
    """
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d) and 0 < layer.p < 1:
                parent.add_module(name, MaskedDropout(layer.p, whole_channels=isinstance(layer, WHOLE_CHANNELS)))
    return module


def masked_layers(module: nn.Module) -> Iterator[tuple[str, MaskedDropout]]:
    """Dropout layers of a network from ``with_masks``, by name."""
    return ((name, layer) for name, layer in module.named_modules() if isinstance(layer, MaskedDropout))


def mask_shapes(module: nn.Module, shape: InputShape) -> dict[str, tuple[int, ...]]:
    """Shape of the mask of one image ``(C, H, W)``, for each dropout layer of a network from ``with_masks``."""
    found: dict[str, tuple[int, ...]] = {}
    layers = dict(masked_layers(module))
    names = {layer: name for name, layer in layers.items()}

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(layer, MaskedDropout):
            found[names[layer]] = layer.mask_shape(given[0])

    handles = [layer.register_forward_pre_hook(note) for layer in layers.values()]
    first = next(module.parameters())
    try:
        with torch.no_grad():  # two images, because normalisation over one value is an error in training mode
            module(torch.zeros(2, *shape, device=first.device, dtype=precision(module)))
    finally:
        for handle in handles:
            handle.remove()
    return found


def random_masks(
    module: nn.Module, shape: InputShape, *, trials: int, samples: int, generator: torch.Generator
) -> Tensors:
    """Masks ``(T, B, ...)`` that keep units with the probability of their layer, by the name of the variable."""
    layers = dict(masked_layers(module))
    masks = {}
    for name, features in mask_shapes(module, shape).items():
        keep = torch.full((trials, samples, *features), 1 - layers[name].rate)
        masks[MASKS + name] = torch.bernoulli(keep, generator=generator)
    return masks


def mask_buffers(variables: Mapping[str, Tensor]) -> Tensors:
    """The masks of one trial's ``variables`` as buffers of the network."""
    return {name.removeprefix(MASKS) + BUFFER: mask for name, mask in variables.items() if name.startswith(MASKS)}


def rate_distance(module: nn.Module, variables: Mapping[str, Tensor]) -> Tensor:
    """``sum_l |(1 - mean(mask_l)) - rate_l|`` over the dropout layers (the published code's regularisation)."""
    rates = {MASKS + name: layer.rate for name, layer in masked_layers(module)}
    gaps = [((1 - variables[name].mean()) - rate).abs() for name, rate in rates.items() if name in variables]
    return torch.stack(gaps).sum() if gaps else variables["code"].new_zeros(())
