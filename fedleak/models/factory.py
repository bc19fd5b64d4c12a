"""User-defined networks, given by an import path."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from fedleak.errors import InputError, describe
from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.state import precision

CONSENT = "FEDLEAK_TRUSTED_FACTORIES"
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=200)]


class Factory(Model):
    """User-defined network: ``path`` is ``module:function`` of a function ``(input_shape, classes) -> nn.Module``.

    A function or class that can be called without arguments, and names none of its own ``input_shape`` or ``classes``,
    is called so.
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
        network = _called(self.path, input_shape, classes)
        if not isinstance(network, nn.Module) or not list(network.parameters()):
            raise _refused(self.path, f"it gives {type(network).__name__}, not a torch.nn.Module with parameters")
        _check_logits(self.path, network, input_shape, classes)
        return network


def _function(path: str) -> Callable[..., Any]:
    if path not in os.environ.get(CONSENT, "").split(","):
        raise _refused(path, f"this is code outside of fedleak; if you trust it, set the environment: {CONSENT}={path}")
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        reason = error if isinstance(error, ImportError | AttributeError) else describe(error)
        raise _refused(path, f"it cannot be imported: {reason}; is its folder on PYTHONPATH?") from error
    if not callable(function):
        raise _refused(path, f"it is no function but {type(function).__name__}")
    factory: Callable[..., Any] = function
    return factory


def _called(path: str, input_shape: InputShape, classes: int) -> Any:
    function = _function(path)
    try:
        return function(input_shape, classes) if _takes_images(function) else function()
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        reason = f"its function failed for images of {input_shape} and {classes} classes: {describe(error)}"
        raise _refused(path, reason) from error


def _takes_images(function: Callable[..., Any]) -> bool:
    """Whether a function is told images and classes: if it has to be given something, or has such parameters."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return True
    return any(
        parameter.kind is parameter.VAR_POSITIONAL
        or (parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD)
        or parameter.name in ("input_shape", "classes")
        for parameter in parameters
    )


def _check_logits(path: str, network: nn.Module, input_shape: InputShape, classes: int) -> None:
    was_training = [(layer, layer.training) for layer in network.modules()]
    try:
        with torch.no_grad():  # first, because it sets the shapes of lazy layers
            logits = network.eval()(torch.zeros(2, *input_shape, dtype=precision(network)))
    except (Exception, SystemExit) as error:  # a user's network may raise anything
        raise _refused(path, f"its network cannot read images of {input_shape}: {describe(error)}") from error
    finally:
        for layer, training in was_training:
            layer.training = training
    if objection := unfit_outputs(logits, 2, classes):
        raise _refused(path, objection)


def unfit_outputs(outputs: object, images: int, classes: int) -> str:
    """What is wrong with a network's outputs for a batch; empty if they are ``(images, classes)``."""
    if isinstance(outputs, torch.Tensor) and outputs.shape == (images, classes):
        return ""
    found = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else f"a {type(outputs).__name__}"
    return (
        f"its network's output for {images} images is {found}, not ({images}, {classes}): return one tensor, "
        f"with one row of {classes} outputs for each image and without further heads"
    )


def _refused(path: str, reason: str) -> InputError:
    return InputError("model.path", path, reason)


def trusted_function(path: str, *, setting: str) -> Callable[..., Any]:
    """The function that another setting than ``model.path`` names, under the same consent.

    Raises:
        InputError: at ``setting``, if the path is not trusted, or cannot be imported.
    """
    try:
        return _function(path)
    except InputError as error:
        raise InputError(setting, path, error.allowed) from error
