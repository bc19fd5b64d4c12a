"""A small vision transformer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.models.vision_transformer import Encoder, EncoderBlock

from fedleak.examples import InputShape
from fedleak.models.base import Model


def _is_usual(design: str) -> bool:
    return design == "usual"


class ViT(Model):
    """Vision transformer with the sizes of the GIT paper by default (Dosovitskiy et al. 2021, arXiv 2010.11929).

    A patch embedding and four 4-head encoder blocks. The blocks are torchvision's: layer norm, attention, layer norm,
    MLP with GELU, both with shortcuts. Unlike in torchvision's own vision transformer, the head has torch's default
    initialisation: a head of zeros would block all gradients in the first round.
    """

    kind: Literal["vit"] = "vit"
    patch: int = Field(default=4, ge=1, le=64)
    """Side of a patch in pixels; 4 for 32x32 and 8 for 64x64 images give 64 tokens."""
    width: int = Field(default=128, ge=4, le=4096)
    """Length of a token."""
    blocks: int = Field(default=4, ge=1, le=48)
    """Number of transformer blocks."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads of a block; they divide ``width``."""
    mlp_width: int = Field(default=256, ge=1, le=16_384)
    """Hidden units of a block's MLP."""
    design: Literal["usual", "plain"] = Field(default="usual", exclude_if=_is_usual)
    """``usual``: layer norm, attention, layer norm, MLP, with shortcuts; ``plain``: attention, layer norm and MLP one
    after another without shortcuts, design A of Lu et al. 2022 (arXiv 2112.14087)."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width = {self.width} must be a multiple of heads = {self.heads}")
        return self

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """546,186 parameters on 3x32x32 images with ten classes.

        Raises:
            ValueError: if the patches do not tile the image.
        """
        return VisionTransformer(self, input_shape, classes)


class VisionTransformer(nn.Module):
    """The network: a class token comes first, and one linear layer reads its last state."""

    def __init__(self, settings: ViT, input_shape: InputShape, classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        if height % settings.patch or width % settings.patch:
            raise ValueError(f"patches of {settings.patch}x{settings.patch} do not tile images of {height}x{width}")
        tokens = 1 + (height // settings.patch) * (width // settings.patch)
        self.embedding = nn.Conv2d(channels, settings.width, settings.patch, stride=settings.patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, settings.width))
        nn.init.normal_(self.class_token, std=0.02)
        self.encoder = Encoder(
            seq_length=tokens,
            num_layers=settings.blocks,
            num_heads=settings.heads,
            hidden_dim=settings.width,
            mlp_dim=settings.mlp_width,
            dropout=0.0,
            attention_dropout=0.0,
        )
        if settings.design == "plain":
            plain = ((name, PlainBlock(block)) for name, block in self.encoder.layers.named_children())
            self.encoder.layers = nn.Sequential(OrderedDict(plain))
        self.head = nn.Linear(settings.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, C, H, W)`` -> logits ``(n, classes)``."""
        tokens = self.embedding(x).flatten(2).transpose(1, 2)
        first = self.class_token.expand(tokens.shape[0], -1, -1)
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative, which gradient matching needs
            logits: Tensor = self.head(self.encoder(torch.cat([first, tokens], dim=1))[:, 0])
        return logits


class PlainBlock(nn.Module):
    """Attention, layer norm and MLP one after another, from the parts of a usual block."""

    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.self_attention, self.ln, self.mlp = block.self_attention, block.ln_2, block.mlp

    def forward(self, tokens: Tensor) -> Tensor:
        """``(n, T, D)`` -> ``(n, T, D)``."""
        mixed, _ = self.self_attention(tokens, tokens, tokens, need_weights=False)
        result: Tensor = self.mlp(self.ln(mixed))
        return result
