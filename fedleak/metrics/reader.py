"""A small network that reads the symbols in rendered images, trained at scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import PIL
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak import seeds
from fedleak.attacks.artefacts import exclusive, find, store
from fedleak.attacks.base import Artefact
from fedleak.data.sources.drawing import CONTENTS
from fedleak.data.sources.rendered import Rendered
from fedleak.transcript.manifest import digest_of

SMALLEST, COARSE, LARGEST = 16, 32, 64
"""Limits of the side at which images are read; above the second one, the first convolution has stride 2."""
WIDTHS = (16, 32, 64)
BATCH = 64
IMAGES, HELD_OUT = 6000, 500
NOISE = 0.25
"""Largest standard deviation of the noise on every other training image."""


@dataclass(frozen=True)
class Reader:
    """A trained reader of symbols.

    Attributes:
        read: images ``(N, C, H, W)`` in [0, 1] -> symbols ``(N, K)``.
        accuracy: fraction of the symbols that it reads correctly in clean held-out images.
    """

    read: Callable[[Tensor], Tensor]
    accuracy: float


@lru_cache(maxsize=4)
def reader(images: Rendered, steps: int) -> Reader:
    """A reader of such images, from the cache if it was trained before.

    Args:
        images: settings of the images; grey is sufficient, because colours are averaged before reading.
        steps: training steps, with 64 images each.
    """
    values = CONTENTS[images.content].symbols(images.length)
    with seeds.global_torch_seed(images.seed):
        network = _network(images.size, sum(values))
    artefact = _trained(network, images, values, steps)
    network.load_state_dict(dict(artefact.parameters))

    def read(pictures: Tensor) -> Tensor:
        return _read(network, prepared(pictures, images.size), values)

    return Reader(read, float(artefact.facts["accuracy"]))


def _trained(network: nn.Module, images: Rendered, values: tuple[int, ...], steps: int) -> Artefact:
    parts = {"images": images.model_dump(mode="json"), "steps": steps, "by": [torch.__version__, PIL.__version__]}
    key = digest_of({"reader": parts})
    with exclusive(key):
        artefact = find(key)
        if artefact is None:
            artefact = _train(network, images, values, steps)
            store(key, artefact)
    return artefact


def _train(network: nn.Module, images: Rendered, values: tuple[int, ...], steps: int) -> Artefact:
    """Train with AdamW on cross-entropy; half of the images are noisy, which makes the reader robust to noise."""
    count = min(IMAGES, steps * BATCH)
    drawn, symbols = images.draw(count + HELD_OUT, np.random.default_rng(images.seed))
    pictures, answers = prepared(torch.from_numpy(drawn) / 255, images.size), torch.from_numpy(symbols)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    generator = seeds.torch_generator(images.seed, "reader")
    network.train()
    for _ in range(steps):
        some = torch.randint(count, (BATCH,), generator=generator)
        std = NOISE * torch.rand(BATCH, 1, 1, 1, generator=generator)
        std[::2] = 0
        noisy = pictures[some] + std * torch.randn(pictures[some].shape, generator=generator)
        logits = torch.split(network(noisy), list(values), dim=1)
        loss = sum(F.cross_entropy(own, answers[some, k]) for k, own in enumerate(logits))
        optimiser.zero_grad()
        torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    right = _read(network, pictures[count:], values) == answers[count:]
    return Artefact(
        parameters=dict(network.state_dict()),
        parameter_count=sum(p.numel() for p in network.parameters()),
        facts={"accuracy": float(right.float().mean())},
    )


def _network(side: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    channels, stride = 1, 2 if side > COARSE else 1
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, 5 if stride == 2 else 3, stride=stride, padding=stride)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels, side, stride = width, side // stride // 2, 1
    return nn.Sequential(
        _Standardise(), *layers, nn.Flatten(), nn.Linear(channels * side**2, 256), nn.ReLU(), nn.Linear(256, outputs)
    )


class _Standardise(nn.Module):
    """Scales each image to mean 0 and standard deviation 1, so that pale reconstructions can be read too."""

    def forward(self, images: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True)
        return (images - mean) / (deviation + 1e-3)


def _read(network: nn.Module, images: Tensor, values: tuple[int, ...]) -> Tensor:
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part) for part in torch.split(images, 256)])
    return torch.stack([own.argmax(dim=1) for own in torch.split(logits, list(values), dim=1)], dim=1)


def prepared(images: Tensor, side: int) -> Tensor:
    """``(N, C, H, W)`` -> grey ``(N, 1, side, side)``."""
    grey = images.float().mean(dim=1, keepdim=True)
    if grey.shape[-2:] == (side, side):
        return grey
    return F.interpolate(grey, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
