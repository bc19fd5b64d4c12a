"""Swin transformer architectures."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import nn
from torchvision.models import SwinTransformer

from fedleak.examples import InputShape
from fedleak.models.base import Model

Positive = Annotated[int, Field(ge=1, le=64)]
Stages = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=4)]


class Swin(Model):
    """Torchvision's Swin transformer without pretrained weights (Liu et al. 2021, arXiv 2103.14030); Swin-T by default.

    The defaults of patch and window suit 32x32 images; ``patch: 4`` and ``window: 7`` are the paper's for 224x224.
    Stochastic depth is off.
    """

    kind: Literal["swin"] = "swin"
    patch: int = Field(default=2, ge=1, le=64)
    """Side of a patch in pixels."""
    window: int = Field(default=4, ge=1, le=64)
    """Side of an attention window in patches."""
    width: int = Field(default=96, ge=1, le=1024)
    """Length of a token in the first stage; every further stage doubles it and halves the sides."""
    blocks: Stages = (2, 2, 6, 2)
    """Number of blocks of each stage."""
    heads: Stages = (3, 6, 12, 24)
    """Number of attention heads of each stage."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if len(self.heads) != len(self.blocks):
            raise ValueError(f"heads = {self.heads} and blocks = {self.blocks} must have the same number of stages")
        for stage, heads in enumerate(self.heads):
            if self.width * 2**stage % heads:
                raise ValueError(
                    f"stage {stage + 1} has tokens of {self.width * 2**stage}, not a multiple of {heads} heads"
                )
        return self

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """27,507,028 parameters on three channels with ten classes.

        Raises:
            ValueError: if the patches do not tile the image.
        """
        channels, height, width = input_shape
        if height % self.patch or width % self.patch:
            raise ValueError(f"patches of {self.patch}x{self.patch} do not tile images of {height}x{width}")
        network: nn.Module = SwinTransformer(
            patch_size=[self.patch, self.patch],
            embed_dim=self.width,
            depths=list(self.blocks),
            num_heads=list(self.heads),
            window_size=[self.window, self.window],
            stochastic_depth_prob=0.0,
            num_classes=classes,
        )
        if channels != 3:
            embedding = nn.Conv2d(channels, self.width, self.patch, stride=self.patch)
            network.get_submodule("features.0").register_module("0", embedding)
        return network
