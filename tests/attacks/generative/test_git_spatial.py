from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.base import TargetShape
from fedleak.attacks.generative.git_spatial import GitSpatial
from fedleak.attacks.generative.step_back import channels_at
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from tests.builders import architecture

CIFAR = (3, 32, 32)
MODELS = [LeNet(), LeNet(last_bias=False), ConvNet(widths=(8, 12))]


def generator_of(attack: GitSpatial, model: Model, shape: InputShape = CIFAR, images: int = 1) -> tuple[nn.Module, int]:
    """The untrained generator and the width of its features."""
    layers, features = attack._features(architecture(model, shape=shape))
    torch.manual_seed(0)
    return attack.network(layers, features, TargetShape(images, shape)), features.size


def parameters_of(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize(("parameters", "bias"), [(8_000_000, True), (20_000_000, True), (20_000_000, False)])
def test_parameters_come_within_five_per_cent_of_the_budget(parameters: int, bias: bool, images: int) -> None:
    """The step is one channel of every projected map, hundreds of thousands of parameters."""
    network, _ = generator_of(GitSpatial(parameters=parameters), LeNet(last_bias=bias), images=images)
    assert 0.95 * parameters < parameters_of(network) <= parameters


def test_a_budget_that_is_too_small_gives_the_smallest_generator() -> None:
    smallest, small = (generator_of(GitSpatial(parameters=p), LeNet())[0] for p in (1000, 100_000))
    assert parameters_of(smallest) == parameters_of(small) > 100_000


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8, 8), CIFAR, (3, 20, 36)])
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_output_is_a_batch_of_images_between_zero_and_one(model: Model, shape: InputShape, images: int) -> None:
    network, width = generator_of(GitSpatial(parameters=100_000, channels=16), model, shape, images)
    output = network(10 * torch.randn(3, width))
    assert output.shape == (3, images, *shape)
    assert 0 <= output.min() <= output.max() <= 1


def jacobian_is_nonzero(network: nn.Module, width: int) -> torch.Tensor:
    inputs = torch.randn(1, width, requires_grad=True)
    network(inputs).square().sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    return inputs.grad[0] != 0


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_every_layers_gradient_matters_once_the_modulation_has_left_the_identity(model: Model) -> None:
    network, width = generator_of(GitSpatial(parameters=100_000, channels=16), model, (1, 8, 8))
    for name, parameter in network.named_parameters():
        if "modulate" in name:
            nn.init.normal_(parameter, std=0.1)
    assert jacobian_is_nonzero(network, width).float().mean() > 0.99


def test_refinement_starts_as_the_identity() -> None:
    network, width = generator_of(GitSpatial(parameters=100_000, channels=16, depth=2), LeNet(), (1, 8, 8))
    features = torch.randn(2, width)
    before = network(features)
    for step in dict(network.named_children())["steps"]:
        step.refine = nn.ModuleList()
    torch.testing.assert_close(network(features), before)


def test_channels_halve_with_every_doubling_of_the_side_down_to_sixteen() -> None:
    layers = GitSpatial()._features(architecture(LeNet(), shape=(3, 64, 64)))[0].layers
    sides = [layer.map_shape[1] for layer in layers]
    assert sides == [64, 32, 16, 16]
    assert [channels_at(64, side / sides[-1]) for side in sides] == [16, 32, 64, 64]


@pytest.mark.parametrize("model", [Mlp(), Mlp(hidden=())], ids=repr)
def test_a_model_without_convolutions_is_a_failed_attack_that_names_another(model: Model) -> None:
    with pytest.raises(AttackFailedError, match="try git_coarse"):
        generator_of(GitSpatial(), model)
