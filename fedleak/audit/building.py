"""The network of a federation that was observed, and the model of a scenario that builds it again."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from fedleak.audit.given import component
from fedleak.audit.observed import ObservedFederation
from fedleak.errors import InputError
from fedleak.models.base import Model
from fedleak.models.factory import Factory
from fedleak.models.state import trainable, whole_state


def build(about: ObservedFederation) -> tuple[Model, nn.Module]:
    """The model as scenarios name it, and one network of it: a copy of a module that was given.

    Raises:
        InputError: if its code is not trusted, or it does not take such images.
    """
    given = about.model
    if isinstance(given, nn.Module):
        model: Model = Factory(path=_path_of(given))
        built = _built(model, about)
        if _look(built) != _look(given):
            raise InputError("model", _path_of(given), f"its class builds another network than the given one; {ADVICE}")
        return model, copy.deepcopy(given).cpu()
    settings: Any = {"kind": "factory", "path": given} if isinstance(given, str) else given
    model = component(settings, "model", Model)
    return model, _built(model, about)


ADVICE = "attacks build it in a process of their own: write a function that returns it, and pass 'module:function'"


def _built(model: Model, about: ObservedFederation) -> nn.Module:
    model.check_available()
    try:
        return model.factory(about.input_shape, about.classes)(0)
    except (ValueError, RuntimeError) as error:
        raise InputError("input_shape", about.input_shape, f"the model takes no such images: {error}") from error


def _path_of(network: nn.Module) -> str:
    cls = type(network)
    is_torchs = cls.__module__.partition(".")[0] in ("torch", "torchvision")
    if is_torchs or cls.__module__ == "__main__" or not cls.__qualname__.isidentifier():
        raise InputError(
            "model", f"{cls.__module__}.{cls.__qualname__}", f"its class alone does not build it; {ADVICE}"
        )
    return f"{cls.__module__}:{cls.__qualname__}"


def _look(network: nn.Module) -> object:
    shapes = {name: tuple(tensor.shape) for name, tensor in whole_state(network).items()}
    return shapes, list(trainable(network))
