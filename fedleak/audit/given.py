"""What a caller passes: an update and a network, as the capabilities that attacks ask for, and components by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fedleak import seeds, threat
from fedleak.errors import InputError
from fedleak.examples import InputShape
from fedleak.families import kind_named, kinds
from fedleak.models.state import precision, trainable, whole_state

Updates = Mapping[str, Tensor] | Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class FreshCopy:
    """Seed -> a copy of a network with new random weights, where its layers can draw them."""

    network: nn.Module

    def __call__(self, seed: int) -> nn.Module:
        """The copy."""
        fresh = copy.deepcopy(self.network)
        with seeds.global_torch_seed(seed):
            for module in fresh.modules():
                draw: Callable[[], Any] | None = getattr(module, "reset_parameters", None)
                if draw is not None:
                    draw()
        return fresh


def named_update(network: nn.Module, tensors: Updates) -> dict[str, Tensor]:
    """Name of a trained parameter -> its gradient or delta, float32 copies in the order of the network.

    Args:
        tensors: by name, or one for each trained parameter in their order, as from ``torch.autograd.grad``.

    Raises:
        InputError: if they do not fit the network's parameters.
    """
    parameters = trainable(network)
    if isinstance(tensors, Mapping):
        missing, unknown = parameters.keys() - tensors.keys(), tensors.keys() - parameters.keys()
        if missing or unknown:
            name = min(missing or unknown)
            allowed = "it is missing" if missing else "the network trains no such parameter"
            raise InputError(f"update.{name}", sorted(map(str, tensors)), allowed)
        found = [tensors[name] for name in parameters]
    else:
        found = list(tensors)
        if len(found) != len(parameters):
            allowed = f"the network trains {len(parameters)} parameters; pass one tensor for each, in their order"
            raise InputError("update", f"{len(found)} tensors", allowed)
    for (name, parameter), tensor in zip(parameters.items(), found, strict=True):
        if not isinstance(tensor, Tensor) or tensor.shape != parameter.shape:
            shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise InputError(f"update.{name}", shape, f"the parameter is {tuple(parameter.shape)}")
    return {name: tensor.detach().float().clone() for name, tensor in zip(parameters, found, strict=True)}


@torch.no_grad()
def count_classes(network: nn.Module, shape: InputShape) -> int:
    """Width of the network's output for examples of this shape.

    Raises:
        InputError: if the network does not take them, or its output is not ``(N, classes)``.
    """
    place = next(network.parameters()).device
    try:
        outputs = copy.deepcopy(network).eval()(torch.zeros(2, *shape, dtype=precision(network), device=place))
    except Exception as error:  # a user's network may raise anything
        raise InputError("input_shape", shape, f"the network does not take such images: {error}") from error
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError("model", found, "the network must return one tensor (N, classes)")
    return int(outputs.shape[1])


def model_capabilities(
    network: nn.Module, shape: InputShape, *, mean: Sequence[float], std: Sequence[float], device: torch.device
) -> list[threat.Capability]:
    """Architecture, weights and pixels, as an honest-but-curious server knows them.

    Raises:
        InputError: if the normalisation or the shape does not fit.
    """
    if len(mean) != len(std) or len(mean) not in (1, shape[0]):
        raise InputError("mean", f"{len(mean)} means, {len(std)} std", f"expected 1 or {shape[0]} numbers for each")
    if not all(value > 0 for value in std):
        raise InputError("std", list(std), "expected numbers above 0")
    state = {name: tensor.to(device) for name, tensor in whole_state(network).items()}
    return [
        threat.ModelArchitecture(FreshCopy(copy.deepcopy(network).cpu()), shape, count_classes(network, shape)),
        threat.GlobalModel(state, version=0),
        threat.PixelPrior(tuple(map(float, mean)), tuple(map(float, std))),
    ]


def arguments(
    method: Callable[..., Any],
    known: Sequence[threat.Capability],
    *,
    wanted: frozenset[type[threat.Capability]],
    how: Mapping[str, str],
) -> dict[str, Any]:
    """Arguments of a method of an attack.

    Args:
        known: what the caller knows.
        wanted: capabilities that the settings of the attack ask for.
        how: name of a capability -> how a caller passes it, for the message.

    Raises:
        InputError: naming a capability that is needed and not known.
    """
    given = {type(capability): capability for capability in known}
    optional = {name: kind for name, kind in threat.optional_capabilities(method).items() if kind in wanted}
    needed = threat.required_capabilities(method) | optional
    for kind in needed.values():
        if kind not in given:
            name = kind.capability_name()
            allowed = f"it needs {name}: {how.get(name, 'record a federation for it (fedleak run)')}"
            raise InputError("attack", method.__qualname__.partition(".")[0], allowed)
    return threat.arguments(method, {name: given[kind] for name, kind in needed.items()})


def component(given: Any, family: str, base: type[Any]) -> Any:
    """A component from its kind, a mapping with its settings, or itself.

    Raises:
        InputError: if there is no such kind, or a setting is wrong.
    """
    if isinstance(given, base):
        return given
    settings = {"kind": given} if isinstance(given, str) else dict(given)
    kind = kind_named(family, str(settings.get("kind")))
    if kind is None:
        raise InputError(family, settings.get("kind"), f"known kinds: {', '.join(kinds(family))}")
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(".".join([family, *map(str, first["loc"])]), first["input"], first["msg"]) from error
