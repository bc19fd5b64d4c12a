"""A client's update of a model that a malicious server crafted, and what the reader is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.models.base import Model
from fedleak.server.crafting.base import Crafting
from fedleak.tensors import Tensors
from fedleak.threat import GlobalModel, ModelArchitecture, ModelTampering, PixelPrior, SharedUpdate
from tests.server.crafting.knowledge import HALF, known

SHAPE, CLASSES = (1, 8, 8), 10
PIXELS = PixelPrior((HALF,), (HALF,))
GRADIENT = LocalTraining("fedsgd", 64, 1, 0.1, train_mode=False)


@dataclass(frozen=True)
class Attacked:
    """An update, or the mean of several clients' updates, with the capabilities of a reader."""

    update: SharedUpdate
    architecture: ModelArchitecture
    tampering: ModelTampering
    model: GlobalModel


def attacked(
    crafting: Crafting,
    model: Model,
    batches: Sequence[Tensor],
    labels: Sequence[int],
    *,
    training: LocalTraining = GRADIENT,
) -> Attacked:
    """One client per batch of images ``(B, 1, 8, 8)`` in [0, 1]; all have the same labels and weight."""
    factory = crafting.declare(model, clients=len(batches)).factory(SHAPE, CLASSES)
    sent: dict[int, Tensors] = {}
    shared: list[Tensors] = []
    for client, images in enumerate(batches):
        network = factory(0)
        state = crafting.craft(network, known(), client=client, round_number=1, generator=torch.Generator())
        assert state is not None
        sent[client] = dict(state)
        network.load_state_dict(sent[client])
        found = compute_updates(network, (2 * images - 1)[None], torch.tensor([labels]), training, seed=0)
        shared.append({name: tensor[0] for name, tensor in found.tensors.items()})
    mean = {name: torch.stack([each[name] for each in shared]).mean(dim=0) for name in shared[0]}
    summed = tuple(range(len(batches))) if len(batches) > 1 else ()
    protocol = "fedsgd" if training.protocol == "fedsgd" else "fedavg"
    return Attacked(
        SharedUpdate(mean, protocol, 1, 0, len(labels) * len(batches), summed=summed),
        ModelArchitecture(factory, SHAPE, CLASSES),
        ModelTampering(crafting.kind, crafting.model_dump(), sent),
        GlobalModel(sent[0], 0),
    )


def distances(found: Tensor, images: Tensor) -> Tensor:
    """Of every image from the nearest one that was found: root mean squared, ``(B,)``."""
    return torch.cdist(images.flatten(1), found.flatten(1)).min(dim=1).values / images[0].numel() ** HALF
