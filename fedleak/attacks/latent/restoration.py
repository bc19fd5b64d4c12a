"""Post-processing of reconstructed images: a network that restores degraded images, trained on the adversary's own."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fedleak import limits, seeds
from fedleak.attacks.latent.codes import ImageCode
from fedleak.component import Settings
from fedleak.errors import AttackFailedError
from fedleak.examples import to_unit
from fedleak.progress import Progress
from fedleak.threat import PublicData

UNKNOWN = 0.1
"""Share of training images whose class the network is not told, so that it restores images of unknown class, too."""
PIECE = 256
"""Images that are evaluated at once."""


class RestorationTraining(Settings):
    """Network that restores reconstructed images, and its training on the adversary's own images."""

    width: int = Field(default=32, ge=1, le=limits.WIDTH)
    """Channels at full resolution; four times as many at a quarter of it."""
    epochs: int = Field(default=30, ge=1, le=limits.EPOCHS)
    """Passes over the public images."""
    batch_size: int = Field(default=64, ge=1, le=limits.IMAGES)
    """Images in a mini-batch."""
    learning_rate: float = Field(default=1e-3, gt=0, le=limits.RATE)
    """Peak of a one-cycle schedule (AdamW), and rate of the discriminator's Adam times ten."""
    noise: float = Field(default=0.3, ge=0, le=limits.RATE)
    """Largest standard deviation of Gaussian noise on the codes of training images; each has its own, uniform below."""
    adversarial: float = Field(default=0.01, ge=0, le=limits.RATE)
    """Weight of the adversarial loss beside the absolute difference; 0: no discriminator."""
    held_out: float = Field(default=0.1, gt=0, lt=1)
    """Fraction of the public images on which the best epoch is chosen, by the absolute difference."""


class ClassNorm(nn.Module):
    """Group normalisation with scale and shift of the image's class (Dumoulin et al. 2017, arXiv 1610.07629)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(8, channels), channels, affine=False)
        self.scale, self.shift = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` of images of classes ``(B,)``."""
        scale, shift = (table(labels)[..., None, None] for table in (self.scale, self.shift))
        answer: Tensor = self.norm(maps) * scale + shift
        return answer


class ClassBlock(nn.Module):
    """Convolution, normalisation by class, LeakyReLU."""

    def __init__(self, before: int, after: int, classes: int, *, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.norm = ClassNorm(after, classes)

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """``(B, before, H, W)`` -> ``(B, after, H / stride, W / stride)``."""
        return F.leaky_relu(self.norm(self.convolution(maps), labels), 0.2)


class RestorationNetwork(nn.Module):
    """U-Net with two halvings, conditioned on the class; it adds a correction to its input, at first none.

    The authors' network has three halvings, 64 channels and a tanh instead of the sum. Class number ``classes`` stands
    for an unknown class.
    """

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        known, narrow, middle, wide = classes + 1, width, 2 * width, 4 * width
        self.first = ClassBlock(channels, narrow, known)
        self.down = ClassBlock(narrow, middle, known, stride=2)
        self.further_down = ClassBlock(middle, wide, known, stride=2)
        self.bottom = ClassBlock(wide, wide, known)
        self.up = ClassBlock(wide + middle, middle, known)
        self.further_up = ClassBlock(middle + narrow, narrow, known)
        self.last = nn.Conv2d(narrow + channels, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Degraded images ``(B, C, H, W)`` in [0, 1] of classes ``(B,)`` -> restored images, not clipped."""
        labels = labels.clamp(max=self.classes)
        fine = self.first(images, labels)
        coarse = self.down(fine, labels)
        maps = self.bottom(self.further_down(coarse, labels), labels)
        maps = self.up(torch.cat([_enlarged(maps, coarse), coarse], dim=1), labels)
        maps = self.further_up(torch.cat([_enlarged(maps, fine), fine], dim=1), labels)
        correction: Tensor = self.last(torch.cat([maps, images], dim=1))
        return images + correction

    @torch.no_grad()
    def restored(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Restored images in [0, 1]; of unknown class where ``labels`` ``(B,)`` is None or of none that was trained."""
        if labels is None:
            labels = torch.full((len(images),), self.classes, device=images.device)
        answer: Tensor = self(images, labels).clamp(0, 1)
        return answer


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[-2:], mode="nearest")


class PatchDiscriminator(nn.Module):
    """Discriminator of patches with spectral normalisation: two halvings, three convolutions, as the authors' one."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        sizes = [(channels, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 1), (4 * width, 1, 1)]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 3, stride=stride, padding=1)) for before, after, stride in sizes
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)`` in [0, 1] -> logits of patches ``(B, 1, H / 4, W / 4)`` that they are real."""
        maps = 2 * images - 1
        for layer in self.layers[:-1]:
            maps = F.leaky_relu(layer(maps), 0.2)
        logits: Tensor = self.layers[-1](maps)
        return logits


@torch.no_grad()
def degraded(code: ImageCode, images: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """What a search that ends beside the true code returns: ``decode(encode(x) + noise)``, clipped to [0, 1].

    Args:
        images: ``(B, C, H, W)`` in [0, 1].
        noise: largest standard deviation; each image has its own, uniform below.
    """
    found = code.encode(images)
    size = noise * torch.rand((len(found), *[1] * (found.ndim - 1)), generator=generator)
    return code.decode(found + (size * torch.randn(found.shape, generator=generator)).to(found)).clamp(0, 1)


@dataclass(frozen=True)
class Restored:
    """A trained network, and its mean absolute differences per epoch: in training and on held-out images."""

    network: RestorationNetwork
    train_curve: list[float]
    held_out_curve: list[float]


def train_restoration(
    public: PublicData,
    code: ImageCode,
    settings: RestorationTraining,
    *,
    generator: torch.Generator,
    progress: Progress,
    name: str,
    device: torch.device,
) -> Restored:
    """Train a network to restore public images from degraded copies, and keep the epoch that is best on held-out ones.

    The loss is the mean absolute difference plus ``adversarial`` times the non-saturating loss of a discriminator of
    patches (Isola et al. 2017, arXiv 1611.07004, Eq. 4).

    Raises:
        AttackFailedError: if there are too few images to hold some out, or the loss is not finite.
    """
    rows, held = _split(len(public.images), settings.held_out, generator)
    channels, classes = public.images.shape[1], int(public.labels.max()) + 1
    with seeds.global_torch_seed(int(torch.randint(2**62, (1,), generator=generator))):
        network = RestorationNetwork(channels, settings.width, classes).to(device)
        judge = PatchDiscriminator(channels, settings.width).to(device)
    target = to_unit(public.images[held], device)
    source = degraded(code, target, settings.noise, generator)
    training = _Training(network, judge, settings, math.ceil(len(rows) / settings.batch_size))
    bar = progress.task(f"training the restoration of {name}", settings.epochs)
    train_curve: list[float] = []
    held_out_curve: list[float] = []
    best: dict[str, Tensor] = {}
    for epoch in range(settings.epochs):
        train_curve.append(training.epoch(public, rows, code, generator))
        held_out_curve.append(_difference(network, source, target, public.labels[held].to(device)))
        if not math.isfinite(held_out_curve[-1]):
            raise AttackFailedError(f"training {name} diverged in epoch {epoch + 1}; lower the learning rate")
        if held_out_curve[-1] <= min(held_out_curve):
            best = copy.deepcopy(network.state_dict())
        bar.advance(note=f"held-out difference {held_out_curve[-1]:.4f}")
    network.load_state_dict(best)
    return Restored(network.eval().requires_grad_(False), train_curve, held_out_curve)


def _split(count: int, held_out: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of images for training, and of those held out."""
    kept = max(1, round(held_out * count))
    if kept >= count:
        raise AttackFailedError(f"{count} public images are too few to hold out {held_out:.0%}")
    order = torch.randperm(count, generator=generator)
    return order[kept:], order[:kept]


def _difference(network: RestorationNetwork, source: Tensor, target: Tensor, labels: Tensor) -> float:
    """Mean absolute difference of restored images, in pieces that fit into memory."""
    pieces = zip(*(torch.split(part, PIECE) for part in (source, target, labels)), strict=True)
    return sum(float((network.restored(x, y) - z).abs().sum()) for x, z, y in pieces) / target.numel()


class _Training:
    """Both networks with their optimisers.

    Args:
        network, judge: trained in place.
        steps: in an epoch.
    """

    def __init__(
        self, network: RestorationNetwork, judge: PatchDiscriminator, settings: RestorationTraining, steps: int
    ) -> None:
        self._network, self._judge, self._settings = network, judge, settings
        rate = settings.learning_rate
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimiser, rate, total_steps=steps * settings.epochs)
        self._judging = torch.optim.Adam(judge.parameters(), lr=rate / 10, betas=(0.5, 0.999))

    def epoch(self, public: PublicData, rows: Tensor, code: ImageCode, generator: torch.Generator) -> float:
        """One pass over the images of ``rows``; their mean absolute difference."""
        device, total = self._network.last.weight.device, 0.0
        order = rows[torch.randperm(len(rows), generator=generator)]
        for some in torch.split(order, self._settings.batch_size):
            images = to_unit(public.images[some], device)
            source = degraded(code, images, self._settings.noise, generator)
            told = torch.rand(len(some), generator=generator) >= UNKNOWN
            labels = torch.where(told, public.labels[some], self._network.classes)
            total += self._step(source, images, labels.to(device)) * len(some)
        return total / len(rows)

    def _step(self, source: Tensor, target: Tensor, labels: Tensor) -> float:
        """One step of the network, after one of the discriminator if there is one."""
        made = self._network(source, labels)
        difference = (made - target).abs().mean()
        loss = difference
        if self._settings.adversarial:
            told = F.softplus(-self._judge(target)).mean() + F.softplus(self._judge(made.detach())).mean()
            self._judging.zero_grad(set_to_none=True)
            told.backward()  # type: ignore[no-untyped-call]
            self._judging.step()
            loss = difference + self._settings.adversarial * F.softplus(-self._judge(made)).mean()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self._schedule.step()
        return float(difference.detach())
