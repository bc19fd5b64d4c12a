"""Layers that are left out of the update."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak.postprocess.base import PostProcess, Update


class GradientMasking(PostProcess):
    """Omit chosen layers: their gradients are not shared, and the server leaves them as they are.

    Sharing a part of the layers only is the oldest of these defenses (Shokri & Shmatikov 2015, doi
    10.1145/2810103.2813687); which part matters (SoK on gradient leakage, table 3).
    """

    kind: Literal["gradient_masking"] = "gradient_masking"
    compresses: ClassVar[bool] = False  # error feedback would pile a masked layer up and never send it
    layers: tuple[str, ...] = Field(min_length=1)
    """Patterns of parameters' names, such as ``layers.0.*`` or ``*.bias``."""
    mode: Literal["omit", "keep"] = "omit"
    """Whether the layers that match are left out, or are the only ones shared."""

    def matches(self, name: str) -> bool:
        """Whether a parameter's name fits one of the patterns."""
        return any(fnmatchcase(name, pattern) for pattern in self.layers)

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """What is left out is zero."""
        return {
            name: torch.zeros_like(tensor) if self.matches(name) == (self.mode == "omit") else tensor.clone()
            for name, tensor in update.items()
        }
