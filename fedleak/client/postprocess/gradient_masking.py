"""Omission of layers from the update."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from fedleak.client.postprocess.base import PostProcess, UnfitSettingError, Update
from fedleak.models.state import trainable


class GradientMasking(PostProcess):
    """Omit chosen layers: their part of the update is not shared, and the server does not change them.

    Sharing only some of the layers is the oldest of these defenses (Shokri & Shmatikov 2015, doi
    10.1145/2810103.2813687); its effect depends on which layers are shared (SoK on gradient leakage, table 3).
    """

    kind: Literal["gradient_masking"] = "gradient_masking"
    compresses: ClassVar[bool] = False  # error feedback would accumulate a masked layer and never send it
    layers: tuple[str, ...] = Field(min_length=1)
    """Patterns of parameter names, such as ``layers.0.*`` or ``*.bias``."""
    mode: Literal["omit", "keep", "freeze"] = "omit"
    """``omit``: matching layers are omitted; ``keep``: only they are shared; ``freeze``: they are omitted, and clients
    that take local steps do not train them either."""

    def check_model(self, model: nn.Module, example: torch.Tensor) -> None:
        """Check that every pattern matches a trained parameter."""
        names = list(trainable(model))
        for pattern in self.layers:
            if not any(fits(name, [pattern]) for name in names):
                raise UnfitSettingError(
                    "layers", pattern, f"it matches no trained parameter of the model: {', '.join(names)}"
                )

    def matches(self, name: str) -> bool:
        """Whether a parameter's name matches one of the patterns."""
        return fits(name, self.layers)

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Set the omitted layers to zero."""
        return {
            name: torch.zeros_like(tensor) if self.matches(name) != (self.mode == "keep") else tensor.clone()
            for name, tensor in update.items()
        }

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, torch.Tensor]:
        """The same masking, differentiable."""
        return {
            name: tensor * 0 if self.matches(name) != (self.mode == "keep") else tensor
            for name, tensor in update.items()
        }


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a parameter's name matches one of ``patterns``."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def frozen_layers(steps: Sequence[PostProcess]) -> tuple[str, ...]:
    """Patterns of the parameters that clients with these steps do not train."""
    masks = [step for step in steps if isinstance(step, GradientMasking) and step.mode == "freeze"]
    return tuple(pattern for mask in masks for pattern in mask.layers)
