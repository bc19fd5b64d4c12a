from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.base import TargetShape
from fedleak.attacks.generative.lti import Lti
from fedleak.models.lenet import LeNet
from fedleak.threat import ModelArchitecture
from tests.builders import architecture

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


def test_output_is_a_batch_of_images_between_zero_and_one() -> None:
    network = generator_of(Lti(hidden=4), CIFAR, images=2)
    images = network(100 * torch.randn(5, 15_826))
    assert images.shape == (5, 2, 3, 32, 32)
    assert 0 <= images.min() <= images.max() <= 1


def test_the_closed_form_of_the_last_layer_is_not_used() -> None:
    assert Lti()._features(CIFAR)[1].output is None
