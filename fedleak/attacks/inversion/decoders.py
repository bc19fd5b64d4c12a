"""Decoders from the optimised variables to images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.component import Settings
from fedleak.examples import InputShape


class Decoding(Protocol):
    """Interface of decoders: maps the variables of a search (pixels, a smaller image, latent vectors) to images."""

    def images(self, variables: Mapping[str, Tensor], shape: InputShape) -> Tensor:
        """Variables of one trial -> images ``(B, C, H, W)`` of ``shape``, normalised for the leaked model."""
        ...


class Decoder(Settings):
    """Decoder of the search variables: pixels (``identity``), or a smaller image that is enlarged (``upsample``).

    Fewer variables regularise the problem; ROG (Yue et al. 2023, arXiv 2206.04055) uses a quarter of the resolution.
    """

    kind: Literal["identity", "upsample"] = "identity"
    """``identity``: the pixels themselves; ``upsample``: a smaller image that is enlarged."""
    factor: int = Field(default=4, ge=2, le=limits.PIXELS)
    """Reduction along each axis (``upsample`` only)."""
    mode: Literal["bicubic", "bilinear", "nearest"] = "bicubic"
    """Interpolation of the enlargement (``upsample`` only)."""

    def code_shape(self, shape: InputShape) -> InputShape:
        """Shape of the variables behind one image."""
        if self.kind == "identity":
            return shape
        channels, height, width = shape
        return channels, max(1, height // self.factor), max(1, width // self.factor)

    def __call__(self, code: Tensor, shape: InputShape) -> Tensor:
        """Variables ``(B, *code_shape)`` -> images ``(B, C, H, W)``."""
        if self.kind == "identity":
            return code
        corners = None if self.mode == "nearest" else False
        return F.interpolate(code, size=shape[1:], mode=self.mode, align_corners=corners)

    def images(self, variables: Mapping[str, Tensor], shape: InputShape) -> Tensor:
        """Variables of one trial, including ``code`` -> images ``(B, C, H, W)``."""
        return self(variables["code"], shape)

    def encode(self, images: Tensor) -> Tensor:
        """Variables that approximate ``images`` ``(B, C, H, W)``: the mean over each block of pixels."""
        if self.kind == "identity":
            return images
        _, height, width = self.code_shape((images.shape[1], images.shape[2], images.shape[3]))
        return F.adaptive_avg_pool2d(images, (height, width))
