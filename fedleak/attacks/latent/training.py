"""Training of the generative model on the adversary's own images."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits, seeds
from fedleak.attacks.latent.network import GeneratorSize, ImageEncoder, ImageGenerator
from fedleak.component import Settings
from fedleak.errors import AttackFailedError
from fedleak.examples import to_unit
from fedleak.progress import Progress


class GenerativeTraining(Settings):
    """Base class of the ways to train a generative model, which decides what its network is."""

    @abstractmethod
    def network(self, size: GeneratorSize) -> nn.Module:
        """The generator, ``(B, latent)`` -> images in [0, 1], with weights from torch's global generator."""

    @abstractmethod
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
        """The generator trained on ``images``, uint8 ``(N, C, H, W)``, and its curves.

        Args:
            generator: the only source of randomness.
            name: of the attack, for messages.

        Raises:
            AttackFailedError: if the images do not suffice, or a loss is not finite.
        """


class GeneratorTraining(GenerativeTraining):
    """Training of the generative model as the decoder of a variational autoencoder."""

    kind: Literal["vae"] = "vae"
    """``vae``: the decoder of a variational autoencoder."""
    epochs: int = Field(default=30, ge=1, le=limits.EPOCHS)
    """Passes over the public images."""
    batch_size: int = Field(default=128, ge=1, le=limits.IMAGES)
    """Images in a mini-batch."""
    learning_rate: float = Field(default=2e-3, gt=0, le=limits.RATE)
    """Peak learning rate of a one-cycle schedule (AdamW)."""

    def network(self, size: GeneratorSize) -> ImageGenerator:
        """The generator, with weights from torch's global generator."""
        return ImageGenerator(size.latent, size.width, size.shape)

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
        """The generator trained on ``images``, uint8 ``(N, C, H, W)``, and its curve."""
        with seeds.global_torch_seed(int(torch.randint(2**62, (1,), generator=generator))):
            network = self.network(size).to(device)
            encoder = ImageEncoder(size.latent, size.width, size.shape).to(device)
        bound = train_image_generator(network, encoder, images, self, generator=generator, progress=progress, name=name)
        return network, {"evidence_bound": bound}


def evidence_bound(images: Tensor, rebuilt: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Negative evidence lower bound of an image, in nats up to a constant, averaged over the batch.

    The pixel variance is set to its optimum, the mean squared error, so no weight between reconstruction and divergence
    has to be chosen (Rybkin et al. 2021, arXiv 2006.13202, Eq. 8).

    Args:
        images, rebuilt: ``(B, C, H, W)`` in [0, 1].
        mean, log_variance: of the latent vectors, ``(B, latent)``.
    """
    error = (rebuilt - images).square().mean()
    likeness = 0.5 * images[0].numel() * torch.log(error + 1e-8)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
    return likeness + divergence


def train_image_generator(
    network: ImageGenerator,
    encoder: ImageEncoder,
    images: Tensor,
    settings: GeneratorTraining,
    *,
    generator: torch.Generator,
    progress: Progress,
    name: str,
) -> list[float]:
    """Train ``network`` in place as the decoder of a variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114).

    GIAS trains a GAN; an autoencoder needs no discriminator, trains in minutes and is reproducible on a CPU.

    Args:
        images: the adversary's own, uint8 ``(N, C, H, W)``.
        generator: for the order of images and the latent noise.

    Returns:
        Mean bound per epoch.

    Raises:
        AttackFailedError: if the loss is not finite.
    """
    weights = [*network.parameters(), *encoder.parameters()]
    device = weights[0].device
    steps = math.ceil(len(images) / settings.batch_size)
    optimiser = torch.optim.AdamW(weights, lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=steps * settings.epochs, pct_start=0.15
    )
    bar = progress.task(f"training {name}", settings.epochs)
    curve: list[float] = []
    for epoch in range(settings.epochs):
        order, total = torch.randperm(len(images), generator=generator), 0.0
        for rows in torch.split(order, settings.batch_size):
            batch = to_unit(images[rows], device)
            mean, log_variance = encoder(batch)
            noise = torch.randn(mean.shape, generator=generator).to(device)
            loss = evidence_bound(batch, network(mean + (0.5 * log_variance).exp() * noise), mean, log_variance)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 100.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        curve.append(total / len(images))
        if not math.isfinite(curve[-1]):
            raise AttackFailedError(f"training {name} diverged in epoch {epoch + 1}; lower the learning rate")
        bar.advance(note=f"bound {curve[-1]:.1f}")
    return curve
