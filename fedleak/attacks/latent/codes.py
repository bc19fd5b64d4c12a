"""Low-dimensional codes of images: a smaller image, or the code of a convolutional autoencoder."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits, seeds
from fedleak.component import Settings
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape, to_unit
from fedleak.progress import Progress
from fedleak.threat import PixelPrior


class ImageCode(nn.Module):
    """Encoder and decoder between images ``(B, C, H, W)`` in [0, 1] and codes ``(B, *code_shape)``."""

    code_shape: InputShape

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """The code of images."""

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """Images from codes; values may leave [0, 1]."""

    def start(self, count: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Codes ``(T, B, *code_shape)`` to search from, drawn on the CPU: uniform in [0, 1)."""
        return torch.rand((*count, *self.code_shape), generator=generator)


class SmallerImage(ImageCode):
    """A code that is the image itself at a lower resolution, by bicubic interpolation in both directions."""

    def __init__(self, shape: InputShape, factor: int) -> None:
        super().__init__()
        self._size = shape[1:]
        self.code_shape = (shape[0], *(max(1, length // factor) for length in shape[1:]))

    def encode(self, images: Tensor) -> Tensor:
        """Bicubic reduction with anti-aliasing."""
        return F.interpolate(images, size=self.code_shape[1:], mode="bicubic", align_corners=False, antialias=True)

    def decode(self, code: Tensor) -> Tensor:
        """Bicubic enlargement."""
        return F.interpolate(code, size=self._size, mode="bicubic", align_corners=False)


class Autoencoder(ImageCode):
    """A convolutional autoencoder whose code has ``channels`` maps at a lower resolution, each standardised.

    Args:
        shape: of an image.
        factor: reduction along each axis, a power of two.
        channels: of the code.
        width: channels of the hidden layers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: InputShape, factor: int, channels: int, width: int) -> None:
        super().__init__()
        halvings = factor.bit_length() - 1
        self._size = shape[1:]
        self.code_shape = (channels, *(math.ceil(length / factor) for length in shape[1:]))
        down = [shape[0], *[width] * halvings]
        self.encoder = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.LeakyReLU(0.2)) for a, b in pairwise(down)),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            *(
                nn.Sequential(nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1))
                for _ in range(halvings)
            ),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, shape[0], 3, padding=1),
        )
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def encode(self, images: Tensor) -> Tensor:
        """The standardised code."""
        raw: Tensor = self.encoder(images)
        return (raw - self.mean) / self.std

    def decode(self, code: Tensor) -> Tensor:
        """Images in [0, 1]."""
        _, height, width = (0, *self._size)
        return torch.sigmoid(self.decoder(code * self.std + self.mean)[..., :height, :width])

    def start(self, count: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Standard normal: a code is standardised."""
        return torch.randn((*count, *self.code_shape), generator=generator)


class BicubicSettings(Settings):
    """The code is the image at a lower resolution, as in the authors' code."""

    kind: Literal["bicubic"] = "bicubic"
    """``bicubic``: a smaller image, enlarged bicubically."""
    factor: int = Field(default=4, ge=2, le=limits.PIXELS)
    """Factor by which height and width are reduced."""

    def network(self, shape: InputShape) -> ImageCode:
        """The code, which has no weights."""
        return SmallerImage(shape, self.factor)

    def train(
        self, images: Tensor, *, generator: torch.Generator, progress: Progress, name: str, device: torch.device
    ) -> tuple[ImageCode, list[float]]:
        """Nothing is trained."""
        return self.network(tuple(images.shape[1:])).to(device), []


class AutoencoderSettings(Settings):
    """The code is that of a convolutional autoencoder trained on the adversary's own images (our sizes)."""

    kind: Literal["autoencoder"]
    """``autoencoder``: the code of a convolutional autoencoder."""
    factor: Literal[2, 4, 8, 16] = 4
    """Factor by which height and width are reduced."""
    channels: int = Field(default=8, ge=1, le=limits.WIDTH)
    """Channels of the code."""
    width: int = Field(default=32, ge=1, le=limits.WIDTH)
    """Channels of the hidden layers."""
    epochs: int = Field(default=20, ge=1, le=limits.EPOCHS)
    """Passes over the public images."""
    batch_size: int = Field(default=64, ge=1, le=limits.IMAGES)
    """Images in a mini-batch."""
    learning_rate: float = Field(default=1e-3, gt=0, le=limits.RATE)
    """Peak learning rate of a one-cycle schedule (AdamW)."""

    def network(self, shape: InputShape) -> ImageCode:
        """The autoencoder, with weights from torch's global generator."""
        return Autoencoder(shape, self.factor, self.channels, self.width)

    def train(
        self, images: Tensor, *, generator: torch.Generator, progress: Progress, name: str, device: torch.device
    ) -> tuple[ImageCode, list[float]]:
        """The autoencoder trained on ``images``, uint8 ``(N, C, H, W)``, and its mean squared error per epoch.

        Raises:
            AttackFailedError: if the loss is not finite.
        """
        with seeds.global_torch_seed(int(torch.randint(2**62, (1,), generator=generator))):
            network = Autoencoder(tuple(images.shape[1:]), self.factor, self.channels, self.width).to(device)
        steps = math.ceil(len(images) / self.batch_size)
        optimiser = torch.optim.AdamW(network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.learning_rate, total_steps=steps * self.epochs)
        bar = progress.task(f"training the autoencoder of {name}", self.epochs)
        curve: list[float] = []
        for epoch in range(self.epochs):
            total = 0.0
            for rows in torch.split(torch.randperm(len(images), generator=generator), self.batch_size):
                batch = to_unit(images[rows], device)
                loss = F.mse_loss(network.decode(network.encode(batch)), batch)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                total += float(loss.detach()) * len(rows)
            curve.append(total / len(images))
            if not math.isfinite(curve[-1]):
                raise AttackFailedError(f"training {name} diverged in epoch {epoch + 1}; lower the learning rate")
            bar.advance(note=f"mse {curve[-1]:.4f}")
        _standardise(network, images, self.batch_size, device)
        return network, curve


@torch.no_grad()
def _standardise(network: Autoencoder, images: Tensor, batch_size: int, device: torch.device) -> None:
    """Set mean and standard deviation of each channel of the code to those over ``images``."""
    codes = torch.cat([network.encode(to_unit(some, device)) for some in torch.split(images, batch_size)])
    std, mean = torch.std_mean(codes, dim=(0, 2, 3), correction=0)
    network.mean.copy_(mean[:, None, None])
    network.std.copy_(std.clamp(min=1e-4)[:, None, None])


CodeSettings = BicubicSettings | AutoencoderSettings


@dataclass(frozen=True, eq=False)
class CodeDecoding:
    """Decodes the variables of a search, ``code`` ``(B, *code_shape)``, for the leaked model.

    Attributes:
        network: between images in [0, 1] and codes.
        pixels: normalisation of the leaked model's images.
    """

    network: ImageCode
    pixels: PixelPrior

    def images(self, variables: Mapping[str, Tensor], shape: InputShape) -> Tensor:
        """Normalised images ``(B, C, H, W)``."""
        return self.pixels.normalisation.apply(self.network.decode(variables["code"]))
