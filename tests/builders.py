"""Small real objects that many tests need: updates, injected pairs, components with their smallest settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.component import Component
from fedleak.data.sources.base import DatasetSplits
from fedleak.data.sources.digits import Digits
from fedleak.examples import InputShape
from fedleak.families import kinds
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.threat import InjectedPairs, ModelArchitecture, SharedUpdate
from fedleak.transcript.layout import Layout
from fedleak.transcript.rows import RowFile, create_rows

Protocol = Literal["fedsgd", "fedavg"]
C = TypeVar("C", bound=Component)
MODEL_SEED = 7
FACTORY = "tests.builders:small_network"
REQUIRED_VALUES: dict[Any, Any] = {float: 0.5, int: 2, bool: True, str: FACTORY, tuple[str, ...]: ("*.weight", "w")}
SMALL_MODELS: dict[str, dict[str, Any]] = {
    "resnet": {"width": 4, "cut_skips": ["layer1.0", "layer2.0"]},
    "vgg": {"width": 4},
    "densenet": {"growth": 4, "blocks": [2, 2, 2]},
    "shortnet": {"growth": 2, "connections": "shortnet1"},
    "googlenet": {"width": 8},
    "inception_v3": {"width": 2},
    "swin": {"width": 6, "heads": [1, 2, 3, 4]},
}
"""Settings with which tests can afford a model; the others are small as they are."""


@lru_cache(maxsize=1)
def digits() -> DatasetSplits:
    """The digits, read once."""
    return Digits().load()


def with_required(kind: type[C], **settings: Any) -> C:
    """A component with defaults, and a plain value for every setting that has none."""
    missing = {name: f for name, f in kind.model_fields.items() if f.is_required() and name not in settings}
    required = {name: REQUIRED_VALUES[field.annotation] for name, field in missing.items()}
    return kind.model_validate(required | settings)


def small_model(kind: str, **settings: Any) -> Model:
    """A model with as few weights as its settings allow."""
    return with_required(kinds("model")[kind], **SMALL_MODELS.get(kind, {}) | settings)  # type: ignore[return-value]


def small_network(input_shape: InputShape, classes: int) -> nn.Module:
    """What a user's own factory may look like."""
    channels, height, width = input_shape
    features = 4 * ((height - 1) // 2) * ((width - 1) // 2)
    return nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(features, classes))


def architecture(model: Model | None = None, *, shape: InputShape = (1, 8, 8), classes: int = 10) -> ModelArchitecture:
    """A leaked model; a small LeNet unless given."""
    return ModelArchitecture((model or LeNet(channels=4)).factory(shape, classes), shape, classes)


def updates_of(
    leaked: ModelArchitecture,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    protocol: Protocol = "fedsgd",
) -> dict[str, torch.Tensor]:
    """What a client answers to batches ``(n, B, C, H, W)`` with labels ``(n, B)``: name -> ``(n, *shape)``."""
    training = LocalTraining(protocol=protocol, batch_size=1, epochs=1, learning_rate=0.01, train_mode=False)
    pixels = (torch.from_numpy(images).to(torch.float32) / 255 - 0.5) / 0.5
    model = leaked.build(seed=MODEL_SEED)
    return compute_updates(model, pixels, torch.from_numpy(labels), training, seed=0).tensors


def shared_update(
    leaked: ModelArchitecture,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    protocol: Protocol = "fedsgd",
) -> SharedUpdate:
    """The update of one batch ``(B, C, H, W)``."""
    tensors = updates_of(leaked, images[None], labels[None], protocol=protocol)
    first = {name: tensor[0] for name, tensor in tensors.items()}
    return SharedUpdate(first, protocol=protocol, round=1, client=1, samples=len(images))


def injected_pairs(
    folder: Path, leaked: ModelArchitecture, *, pairs: int, batch: int = 1, public: int | None = None
) -> InjectedPairs:
    """Real pairs of digits: batches of the first ``public`` images, in random order."""
    public = public or pairs * batch
    data = digits().train.take(np.arange(public))
    draw = np.random.default_rng(0)
    index = np.stack([draw.permutation(public)[:batch] for _ in range(pairs)])
    if public == pairs * batch:
        index = draw.permutation(public).reshape(pairs, batch)
    tensors = updates_of(leaked, data.images[index], data.labels[index])
    layout = Layout.of((name, tensor[0]) for name, tensor in tensors.items())
    return stored_pairs(folder, data.images, index, layout.flatten(tensors, batch_dims=1).numpy(), layout)


def stored_pairs(
    folder: Path, images: NDArray[np.uint8], index: NDArray[np.int64], updates: NDArray[np.float32], layout: Layout
) -> InjectedPairs:
    """Pairs whose updates ``(P, D)`` lie on disk, as in a transcript."""
    path = folder / "updates.npy"
    create_rows(path, updates.shape, "float32")
    RowFile(path, writable=True).write(0, updates)
    return InjectedPairs(torch.from_numpy(images), index, RowFile(path), layout, "fedsgd", digest="test")
