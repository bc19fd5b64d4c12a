"""Share of labels that an inference recovers from real updates of digits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from fedleak.attacks.labels.base import LabelInference
from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.models.base import Model
from fedleak.threat import (
    Capability,
    GlobalModel,
    ModelArchitecture,
    PixelPrior,
    PublicData,
    SharedUpdate,
    required_capabilities,
)
from tests.builders import MODEL_SEED, Protocol, architecture, digits

PUBLIC, TRAINING_STEPS = 400, 60


@dataclass(frozen=True)
class Setting:
    """A model, before or after some training, and a client's local training."""

    model: Model
    protocol: Protocol = "fedsgd"
    epochs: int = 1
    batch_size: int = 16
    rate: float = 0.01
    trained: bool = False
    sgd: LocalSgd = PLAIN_SGD


def share_recovered(inference: LabelInference, setting: Setting, *, batch: int, updates: int = 20) -> float:
    """Instance-level accuracy over random batches of digits with repeats."""
    data = digits().train
    index = PUBLIC + np.random.default_rng(1).integers(len(data) - PUBLIC, size=(updates, batch))
    leaked = architecture(setting.model)
    module = _trained(leaked.build(seed=MODEL_SEED)) if setting.trained else leaked.build(seed=MODEL_SEED)
    local = (setting.protocol, setting.batch_size, setting.epochs, setting.rate)
    training = LocalTraining(*local, train_mode=False, optimizer=setting.sgd)
    tensors = compute_updates(module, _pixels(index), torch.from_numpy(data.labels[index]), training, seed=0).tensors
    model = GlobalModel({name: t.detach().clone() for name, t in module.state_dict().items()}, version=0)
    right = 0
    for i, labels in enumerate(data.labels[index]):
        update = SharedUpdate({n: t[i] for n, t in tensors.items()}, setting.protocol, 1, 1, batch)
        guess = inference.infer(**known(inference, update, leaked, model), count=batch)
        right += (Counter(guess.tolist()) & Counter(labels.tolist())).total()
    return right / index.size


def known(
    inference: LabelInference, update: SharedUpdate, leaked: ModelArchitecture, model: GlobalModel
) -> dict[str, Capability]:
    """What the inference asks for; the first digits are public."""
    data = digits().train
    public = PublicData(torch.from_numpy(data.images[:PUBLIC]), torch.from_numpy(data.labels[:PUBLIC]))
    offered = (update, leaked, model, public, PixelPrior(mean=(0.5,), std=(0.5,)))
    by_type: dict[type[Capability], Capability] = {type(c): c for c in offered}
    return {name: by_type[kind] for name, kind in required_capabilities(inference.infer).items()}


def _pixels(index: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(digits().train.images[index]).float() / 255 - 0.5) / 0.5


def _trained(module: torch.nn.Module) -> torch.nn.Module:
    data = digits().train
    draw = np.random.default_rng(2)
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(TRAINING_STEPS):
        some = draw.integers(len(data), size=64)
        loss = torch.nn.functional.cross_entropy(module(_pixels(some)), torch.from_numpy(data.labels[some]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module
