"""Networks of the generative model: the generator and the encoder used to train it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.examples import InputShape

DOUBLINGS = 3


@dataclass(frozen=True)
class GeneratorSize:
    """Sizes of a generator.

    Attributes:
        latent: length of the latent vector.
        width: channels at full resolution.
        shape: of an image, ``(C, H, W)``.
    """

    latent: int
    width: int
    shape: InputShape


class ImageGenerator(nn.Module):
    """Image generator: maps a latent vector to 1/8 of the image size, then doubles it 3 times (after DCGAN).

    DCGAN: arXiv 1511.06434. Our choices: upsampling with convolution instead of transposed convolutions, which cause
    checkerboard artefacts; group normalisation, because the weights are optimised for one image at a time.

    Args:
        latent: length of the latent vector.
        width: channels before the last convolution; eight times as many at the start.
        shape: of an image, ``(C, H, W)``.
    """

    def __init__(self, latent: int, width: int, shape: InputShape) -> None:
        super().__init__()
        self._shape = shape
        channels, *size = shape
        self._start = (width * 2**DOUBLINGS, *(math.ceil(length / 2**DOUBLINGS) for length in size))
        self.first = nn.Linear(latent, math.prod(self._start))
        widths = [width * 2**i for i in range(DOUBLINGS, -1, -1)]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2),
                nn.Conv2d(wide, narrow, 3, padding=1),
                nn.GroupNorm(math.gcd(8, narrow), narrow),
                nn.LeakyReLU(0.2),
            )
            for wide, narrow in pairwise(widths)
        )
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        """``(B, latent)`` -> images ``(B, C, H, W)`` in [0, 1]."""
        maps = F.leaky_relu(self.first(code), 0.2).reshape(-1, *self._start)
        for block in self.blocks:
            maps = block(maps)
        _, height, width = self._shape
        return torch.sigmoid(self.last(maps)[..., :height, :width])


class ImageEncoder(nn.Module):
    """Encoder that mirrors the generator: mean and log variance of the latent vector, ``(B, latent)`` each."""

    def __init__(self, latent: int, width: int, shape: InputShape) -> None:
        super().__init__()
        channels, *size = shape
        widths = [channels, *(width * 2**i for i in range(1, DOUBLINGS + 1))]
        self.maps = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(narrow, wide, 3, stride=2, padding=1),
                    nn.GroupNorm(math.gcd(8, wide), wide),
                    nn.LeakyReLU(0.2),
                )
                for narrow, wide in pairwise(widths)
            ),
            nn.Flatten(),
        )
        self.last = nn.Linear(widths[-1] * math.prod(math.ceil(length / 2**DOUBLINGS) for length in size), 2 * latent)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(B, C, H, W)`` in [0, 1] -> mean and log variance."""
        mean, log_variance = self.last(self.maps(images)).chunk(2, dim=1)
        return mean, log_variance
