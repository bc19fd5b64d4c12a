"""Feature extractors for nearest-neighbour search: random, trained at scoring, or pretrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits, seeds
from fedleak.component import Settings
from fedleak.examples import Normalisation
from fedleak.metrics.base import MetricUnavailableError, Peers
from fedleak.metrics.weights import download, read_file

WIDTHS = (32, 64, 128)
BATCH = 256
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Normalisation of torchvision's networks."""
SIDE = 224
Extractor = Callable[[Tensor], Tensor]


class FeatureSettings(Settings):
    """Network whose average-pooled features are compared."""

    kind: Literal["trained", "random", "pretrained"] = "trained"
    """A small network trained to classify the peers; the same network with random weights; or torchvision's ResNet-18
    on enlarged images. The first two need no pretrained weights."""
    weights: str = "resnet18"
    """For ``pretrained``: ``resnet18`` (torchvision's, downloaded on first use) or a local file with its state dict."""
    steps: int = Field(default=300, ge=1, le=limits.ITERATIONS)
    """Training steps, with 64 images each."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Seed of the training."""

    def describe(self) -> str:
        """Description for the report."""
        if self.kind == "pretrained":
            return f"features of a pretrained ResNet-18 ({Path(self.weights).name})"
        how = "random weights" if self.kind == "random" else f"weights trained at scoring in {self.steps} steps"
        return f"features of a small convolutional network with {how} instead of a pretrained network"


def extractor(settings: FeatureSettings, peers: Peers) -> Extractor:
    """Images ``(N, C, H, W)`` in [0, 1] -> features ``(N, D)``.

    Args:
        peers: training data for the kind ``trained``.

    Raises:
        MetricUnavailableError: if pretrained weights are not available.
    """
    if settings.kind == "pretrained":
        return _pretrained(settings.weights)
    classes = int(peers.labels.max()) + 1
    body = _small_network(peers.images.shape[1], seed=settings.seed)
    if settings.kind == "trained":
        _train(body, peers, classes, settings)
    body.eval()
    return lambda images: _in_batches(body, images * 2 - 1)


def _small_network(channels: int, *, seed: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    with seeds.global_torch_seed(seed):
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _train(body: nn.Module, peers: Peers, classes: int, settings: FeatureSettings) -> None:
    """Train with Adam at 1e-3 on cross-entropy; the head is discarded afterwards."""
    with seeds.global_torch_seed(settings.seed + 1):
        head = nn.Linear(WIDTHS[-1], classes)
    generator = torch.Generator().manual_seed(settings.seed)
    optimiser = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)
    for _ in range(settings.steps):
        some = torch.randint(len(peers.images), (64,), generator=generator)
        loss = F.cross_entropy(head(body(peers.images[some].float() * 2 - 1)), peers.labels[some])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _in_batches(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(images, BATCH)])


def _pretrained(weights: str) -> Extractor:
    from torchvision.models import ResNet18_Weights, resnet18

    if weights == "resnet18":
        url, hint = ResNet18_Weights.IMAGENET1K_V1.url, "set metrics.iip.features.weights to a local file"
        state = download(url, name=weights, hint=hint)
    else:
        state = read_file(Path(weights).expanduser(), "metrics.iip.features.weights")
    with seeds.global_torch_seed(0):
        network: Any = resnet18(weights=None)
    try:
        network.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError) as error:
        raise MetricUnavailableError(f"metrics.iip: {weights} is not a ResNet-18 state dict") from error
    network.fc = nn.Identity()
    network.eval()

    def features(images: Tensor) -> Tensor:
        parts = torch.split(images.expand(-1, 3, -1, -1), 32)
        large = (F.interpolate(p, size=(SIDE, SIDE), mode="bilinear", align_corners=False) for p in parts)
        with torch.no_grad():
            return torch.cat([network(IMAGENET.apply(part)) for part in large])

    return features
