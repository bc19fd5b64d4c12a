"""DCGAN: a generator and a discriminator, and their training on the adversary's own images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits, seeds
from fedleak.attacks.latent.network import DOUBLINGS, GeneratorSize
from fedleak.attacks.latent.training import GenerativeTraining
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape, to_unit
from fedleak.progress import Progress

SPREAD = 0.02
"""Standard deviation of initial weights."""
BETAS = (0.5, 0.999)


class DcganTraining(GenerativeTraining):
    """Training of the generative model as a DCGAN (Radford et al. 2016, arXiv 1511.06434), with the paper's settings.

    The number of epochs is that of the weights that the code of GIAS loads for CIFAR-10.
    """

    kind: Literal["dcgan"]
    """``dcgan``: the generator of a generative adversarial network."""
    epochs: int = Field(default=200, ge=1, le=limits.EPOCHS)
    """Passes over the public images."""
    batch_size: int = Field(default=64, ge=2, le=limits.IMAGES)
    """Images in a mini-batch; a rest of less than two images is left out."""
    learning_rate: float = Field(default=2e-4, gt=0, le=limits.RATE)
    """Of both networks (Adam, first momentum 0.5)."""

    def network(self, size: GeneratorSize) -> DcganGenerator:
        """The generator, with weights from torch's global generator."""
        return DcganGenerator(size.latent, size.width, size.shape)

    def train(
        self,
        images: Tensor,
        size: GeneratorSize,
        *,
        generator: torch.Generator,
        progress: Progress,
        name: str,
        device: torch.device,
    ) -> tuple[nn.Module, dict[str, list[float]]]:
        """The generator trained on ``images``, uint8 ``(N, C, H, W)``, and the losses of both networks."""
        with seeds.global_torch_seed(int(torch.randint(2**62, (1,), generator=generator))):
            players = Players(self.network(size).to(device), Discriminator(size.width, size.shape).to(device))
        curves = train_dcgan(
            players, images, self, latent=size.latent, generator=generator, progress=progress, name=name
        )
        return players.network, curves


class DcganGenerator(nn.Module):
    """Generator of a DCGAN: transposed convolutions with batch normalisation (arXiv 1511.06434).

    An eighth of the image size, doubled three times, then a 1x1 convolution, as the code of GIAS has it for CIFAR-10.

    Args:
        latent: length of the latent vector.
        width: channels at full resolution; eight times as many at the start.
        shape: of an image, ``(C, H, W)``.
    """

    def __init__(self, latent: int, width: int, shape: InputShape) -> None:
        super().__init__()
        self._shape = shape
        channels, *size = shape
        widths = [width * 2**i for i in range(DOUBLINGS, -1, -1)]
        start = tuple(math.ceil(length / 2**DOUBLINGS) for length in size)
        self.maps = nn.Sequential(
            nn.ConvTranspose2d(latent, widths[0], start, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            *(
                nn.Sequential(
                    nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(narrow),
                    nn.ReLU(),
                )
                for wide, narrow in pairwise(widths)
            ),
            nn.Conv2d(width, channels, 1, bias=False),
        )
        self.apply(_initialise)

    def forward(self, code: Tensor) -> Tensor:
        """``(B, latent)`` -> images ``(B, C, H, W)`` in [0, 1]."""
        _, height, width = self._shape
        images: Tensor = (self.maps(code[:, :, None, None])[..., :height, :width].tanh() + 1) / 2
        return images


class Discriminator(nn.Module):
    """Discriminator of a DCGAN: strided convolutions that mirror the generator (arXiv 1511.06434)."""

    def __init__(self, width: int, shape: InputShape) -> None:
        super().__init__()
        channels, *size = shape
        widths = [width * 2**i for i in range(1, DOUBLINGS + 1)]
        self.maps = nn.Sequential(
            nn.Conv2d(channels, widths[0], 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            *(
                nn.Sequential(
                    nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(wide),
                    nn.LeakyReLU(0.2),
                )
                for narrow, wide in pairwise(widths)
            ),
            nn.Flatten(),
        )
        last = [length // 2**DOUBLINGS for length in size]
        if not all(last):
            raise AttackFailedError(f"a DCGAN needs images of at least {2**DOUBLINGS} pixels a side, not {size}")
        self.last = nn.Linear(widths[-1] * math.prod(last), 1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` in [0, 1] -> logits ``(B,)`` that they are real."""
        logits: Tensor = self.last(self.maps(2 * images - 1))[:, 0]
        return logits


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, SPREAD)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, SPREAD)


class Players(NamedTuple):
    """The two networks of a GAN."""

    network: DcganGenerator
    discriminator: Discriminator


def train_dcgan(
    players: Players,
    images: Tensor,
    settings: DcganTraining,
    *,
    latent: int,
    generator: torch.Generator,
    progress: Progress,
    name: str,
) -> dict[str, list[float]]:
    """Train both networks in place, in turns, with the non-saturating loss (Goodfellow et al. 2014, arXiv 1406.2661).

    Args:
        images: the adversary's own, uint8 ``(N, C, H, W)``.
        latent: length of the latent vector.
        generator: for the order of images and the latent vectors.

    Returns:
        ``discriminator`` and ``generator``: mean losses per epoch.

    Raises:
        AttackFailedError: if a loss is not finite, or there is only one image.
    """
    if len(images) < 2:
        raise AttackFailedError(f"training {name} needs at least two public images")
    optimisers = [torch.optim.Adam(net.parameters(), lr=settings.learning_rate, betas=BETAS) for net in players]
    device = next(players.network.parameters()).device
    bar = progress.task(f"training {name}", settings.epochs)
    curves: dict[str, list[float]] = {"discriminator": [], "generator": []}
    for epoch in range(settings.epochs):
        totals, batches = [0.0, 0.0], 0
        for batch in _batches(images, settings.batch_size, generator):
            code = torch.randn((len(batch), latent), generator=generator).to(device)
            losses = _round(players, optimisers, to_unit(batch, device), code)
            totals, batches = [a + b for a, b in zip(totals, losses, strict=True)], batches + 1
        for curve, total in zip(curves.values(), totals, strict=True):
            curve.append(total / batches)
            if not math.isfinite(curve[-1]):
                raise AttackFailedError(f"training {name} diverged in epoch {epoch + 1}; lower the learning rate")
        bar.advance(note=f"losses {curves['discriminator'][-1]:.2f}, {curves['generator'][-1]:.2f}")
    return curves


def _batches(images: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Mini-batches of at least two images, because batch normalisation needs them."""
    for rows in torch.split(torch.randperm(len(images), generator=generator), size):
        if len(rows) > 1:
            yield images[rows]


def _round(players: Players, optimisers: list[torch.optim.Adam], real: Tensor, code: Tensor) -> tuple[float, float]:
    """One step of the discriminator and one of the generator; their losses."""
    made = players.network(code)
    logits = [players.discriminator(real), players.discriminator(made.detach())]
    told = _against(logits[0], 1.0) + _against(logits[1], 0.0)
    optimisers[1].zero_grad(set_to_none=True)
    told.backward()  # type: ignore[no-untyped-call]
    optimisers[1].step()
    fooled = _against(players.discriminator(made), 1.0)
    optimisers[0].zero_grad(set_to_none=True)
    fooled.backward()  # type: ignore[no-untyped-call]
    optimisers[0].step()
    return float(told.detach()), float(fooled.detach())


def _against(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
