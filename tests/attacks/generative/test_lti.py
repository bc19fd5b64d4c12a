from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedleak.attacks.generative.base import TargetShape
from fedleak.attacks.generative.lti import Lti
from fedleak.attacks.generative.training import TrainingSettings
from fedleak.models.lenet import LeNet
from fedleak.progress import QuietProgress
from fedleak.threat import ModelArchitecture
from tests.builders import architecture, injected_pairs

CIFAR = architecture(LeNet(), shape=(3, 32, 32))


def generator_of(attack: Lti, leaked: ModelArchitecture, images: int = 1) -> nn.Module:
    layers, features = attack._features(leaked)
    return attack.network(layers, features, TargetShape(images, leaked.input_shape))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("images", [1, 8])
@pytest.mark.parametrize("parameters", [1_500_000, 4_000_000, 20_000_000])
def test_parameters_come_within_three_per_cent_of_the_budget(parameters: int, images: int, bias: bool) -> None:
    leaked = architecture(LeNet(last_bias=bias), shape=(3, 32, 32))
    count = sum(p.numel() for p in generator_of(Lti(parameters=parameters), leaked, images).parameters())
    assert count == pytest.approx(parameters, rel=0.03)


def test_three_hidden_layers_of_the_given_width() -> None:
    network = generator_of(Lti(hidden=30), CIFAR, images=2)
    shapes = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(15_826, 30), (30, 30), (30, 30), (30, 2 * 3072)]
    assert sum(isinstance(m, nn.ReLU) for m in network.modules()) == 3


PAPER = {"kind": "lti", "preset": "paper"}


def test_the_papers_preset_is_that_of_the_authors_code() -> None:
    attack = Lti.model_validate(PAPER)
    shapes = [
        (m.in_features, m.out_features) for m in generator_of(attack, CIFAR).modules() if isinstance(m, nn.Linear)
    ]
    assert shapes == [(15_826, 3000), (3000, 3000), (3000, 3072)]
    training = attack.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (200, 256, 1e-4)
    assert (training.weight_decay, training.schedule, training.clip) == (0.0, "step", None)
    assert Lti.model_validate(attack.model_dump(mode="json")) == attack
    assert "preset" not in Lti().model_dump()


def test_what_is_set_beside_the_papers_preset_is_kept() -> None:
    attack = Lti.model_validate(PAPER | {"training": {"epochs": 3}, "parameters": 1_500_000})
    assert (attack.training.epochs, attack.training.learning_rate, attack.hidden) == (3, 1e-4, None)
    count = sum(p.numel() for p in generator_of(attack, CIFAR).parameters())
    assert count == pytest.approx(1_500_000, rel=0.03)
    other = Lti.model_validate(PAPER | {"training": TrainingSettings(epochs=4)})
    assert (other.training.epochs, other.training.batch_size) == (4, 128)


def test_the_papers_inputs_are_the_gradients_as_they_are() -> None:
    update = torch.randn(2, 15_826, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1e-5], [30.0]])
    features = Lti.model_validate(PAPER)._features(CIFAR)[1]
    assert features.size == 15_826
    assert torch.equal(features(update).sort(dim=1).values, update.sort(dim=1).values)


@pytest.mark.parametrize("preset", ["matched", "paper"])
def test_either_preset_learns_to_rebuild_digits(tmp_path: Path, preset: str) -> None:
    """Better than the mean image of its own pairs, on pairs that it was not trained on."""
    leaked = architecture(LeNet(channels=4))
    pairs = injected_pairs(tmp_path, leaked, pairs=200)
    training = {"epochs": 40, "batch_size": 16, "learning_rate": 1e-3}
    attack = Lti.model_validate({"kind": "lti", "preset": preset, "hidden": 64, "training": training})
    trained = attack.fit(
        pairs, leaked, generator=torch.Generator().manual_seed(0), progress=QuietProgress(), device=torch.device("cpu")
    )
    images = pairs.read_images(np.arange(200))
    spread = float((images - images.mean(dim=0)).square().mean())
    assert min(trained.curves["held_out"]) < 0.95 * spread


def test_output_is_a_batch_of_images_between_zero_and_one() -> None:
    network = generator_of(Lti(hidden=4), CIFAR, images=2)
    images = network(100 * torch.randn(5, 15_826))
    assert images.shape == (5, 2, 3, 32, 32)
    assert 0 <= images.min() <= images.max() <= 1


def test_the_closed_form_of_the_last_layer_is_not_used() -> None:
    assert Lti()._features(CIFAR)[1].output is None
