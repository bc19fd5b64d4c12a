"""One victim of a small network, and everything an inversion attack may know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.labels.greedy_bias import GreedyBias
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.data.sources.base import LabelledImages
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.threat import (
    Capability,
    GlobalModel,
    InferredLabels,
    ModelArchitecture,
    PixelPrior,
    SharedUpdate,
    TrainingDetails,
    arguments,
    required_capabilities,
)
from tests.builders import architecture, digits

PIXELS = PixelPrior(mean=(0.5,), std=(0.5,))
GRADIENT = LocalTraining("fedsgd", batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)


@dataclass(frozen=True)
class Victim:
    """One update, its truth and the model behind it."""

    leaked: ModelArchitecture
    state: dict[str, torch.Tensor]
    update: SharedUpdate
    images: torch.Tensor
    labels: torch.Tensor
    training: LocalTraining

    def known(self) -> tuple[Capability, ...]:
        """Every capability that inversion attacks ask for."""
        labels = GreedyBias().infer(self.update, count=len(self.labels))
        details = TrainingDetails(self.training.learning_rate, self.training.epochs, self.training.batch_size)
        return (
            self.update,
            self.leaked,
            GlobalModel(self.state, version=0),
            PIXELS,
            InferredLabels(labels, "greedy_bias"),
            details,
        )

    def arguments(self, attack: Attack, **changes: Capability | None) -> dict[str, Any]:
        """What the attack asks for and no more, with ``changes`` to single capabilities."""
        by_type = {type(capability): capability for capability in self.known()}
        given = {name: by_type[kind] for name, kind in required_capabilities(attack.reconstruct).items()}
        told = {name: capability for name, capability in changes.items() if capability is not None}
        return arguments(attack.reconstruct, given | told)

    def bundle(self, attack: InversionAttack, **changes: Capability | None) -> Any:
        """The same of an inversion, which takes one bundle."""
        known: Any = self.arguments(attack, **changes)["known"]
        return known

    def attacked_by(self, attack: Attack, *, seed: int = 0) -> Reconstruction:
        """What the attack makes of it."""
        return attack.reconstruct(**self.arguments(attack), generator=torch.Generator().manual_seed(seed))

    def psnr(self, reconstruction: Reconstruction) -> float:
        """Of a single image, in dB."""
        return float(-10 * (reconstruction.images - self.images).square().mean().log10())


def victim(
    model: Model | None = None,
    *,
    first: int = 0,
    count: int = 1,
    training: LocalTraining = GRADIENT,
    uniform: bool = True,
) -> Victim:
    """``count`` digits seen by a LeNet, with weights uniform in (-0.5, 0.5) as in the code of DLG unless told."""
    data = digits().train
    leaked = architecture(model or LeNet(channels=6))
    return victim_of(leaked, data.take(np.arange(first, first + count)), training=training, uniform=uniform)


def victim_of(
    leaked: ModelArchitecture, data: LabelledImages, *, training: LocalTraining = GRADIENT, uniform: bool = False
) -> Victim:
    """One update from all of ``data``, whatever its images are."""
    module = leaked.build(seed=3)
    if uniform:
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.uniform_(-0.5, 0.5, generator=generator)
    images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
    updates = compute_updates(module, ((images - 0.5) / 0.5)[None], labels[None], training, seed=0)
    protocol = "fedavg" if training.protocol == "fedavg" else "fedsgd"
    tensors = {name: tensor[0] for name, tensor in updates.tensors.items()}
    shared = SharedUpdate(tensors, protocol=protocol, round=1, client=1, samples=len(labels))
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    return Victim(leaked, state, shared, images, labels, training)
