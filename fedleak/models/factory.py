"""User-defined networks, given by an import path."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from fedleak.errors import InputError
from fedleak.examples import InputShape
from fedleak.models.base import Model

CONSENT = "FEDLEAK_TRUSTED_FACTORIES"
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=200)]


class Factory(Model):
    """User-defined network: ``path`` is ``module:function`` of a function ``(input_shape, classes) -> nn.Module``.

    The module must be importable wherever clients and attacks run: installed, or in a folder on ``PYTHONPATH``.
    Scenarios and transcripts may come from other people, and importing a module runs its code, so a module is imported
    only if the environment variable ``FEDLEAK_TRUSTED_FACTORIES`` lists its path (separate several with commas).
    Weights must be drawn from torch's global generator.
    """

    kind: Literal["factory"] = "factory"
    path: ImportPath
    """``module:function``, importable wherever clients and attacks run."""

    def check_available(self) -> None:
        """Check that the path is trusted and can be imported."""
        _function(self.path)

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network that the function returns.

        Raises:
            InputError: if the path is not trusted, cannot be imported, or returns no network for such images.
        """
        network = _function(self.path)(input_shape, classes)
        if not isinstance(network, nn.Module) or not list(network.parameters()):
            raise _refused(self.path, f"it gives {type(network).__name__}, not a torch.nn.Module with parameters")
        _check_logits(self.path, network, input_shape, classes)
        return network


def _function(path: str) -> Callable[[InputShape, int], Any]:
    if path not in os.environ.get(CONSENT, "").split(","):
        raise _refused(path, f"this is code outside of fedleak; if you trust it, set the environment: {CONSENT}={path}")
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise _refused(path, f"it cannot be imported: {error}; is its folder on PYTHONPATH?") from error
    if not callable(function):
        raise _refused(path, f"it is no function but {type(function).__name__}")
    factory: Callable[[InputShape, int], Any] = function
    return factory


def _check_logits(path: str, network: nn.Module, input_shape: InputShape, classes: int) -> None:
    was_training = network.training
    try:
        with torch.no_grad():
            logits = network.eval()(torch.zeros(2, *input_shape))
    except (RuntimeError, TypeError) as error:
        raise _refused(path, f"its network cannot read images of {input_shape}: {error}") from error
    finally:
        network.train(was_training)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise _refused(path, f"its network's output for two images is {found}, not (2, {classes})")


def _refused(path: str, reason: str) -> InputError:
    return InputError("model.path", path, reason)
