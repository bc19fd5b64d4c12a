from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.base import TargetShape
from fedleak.attacks.generative.git_coarse import GitCoarse
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.threat import ModelArchitecture
from tests.builders import architecture

MLP = architecture(Mlp(hidden=(7, 5)), shape=(1, 3, 2), classes=4)  # layers 6-7-5-4
WIDTHS = (6 * 7 + 7, 7 * 5 + 5, 5 * 4 + 4)  # weights and biases


def generator_of(attack: GitCoarse, leaked: ModelArchitecture, images: int = 1) -> nn.Module:
    layers, features = attack._features(leaked)
    return attack.network(layers, features, TargetShape(images, leaked.input_shape))


def shapes_of(network: nn.Module) -> list[tuple[int, int]]:
    """Inputs and outputs of each ``h_i`` from the first layer to the last, then of the bootstrap if there is one."""
    modules = dict(network.named_children())
    parts = [*modules["steps"], *([modules["bootstrap"]] if modules.get("bootstrap") is not None else [])]
    return [(part[0].in_features, part[-1].out_features) for part in parts]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("images", [1, 2, 4])
@pytest.mark.parametrize("parameters", [1_500_000, 4_000_000, 20_000_000])
def test_parameters_come_within_three_per_cent_of_the_budget(parameters: int, images: int, bias: bool) -> None:
    leaked = architecture(LeNet(last_bias=bias), shape=(3, 32, 32))
    count = sum(p.numel() for p in generator_of(GitCoarse(parameters=parameters), leaked, images).parameters())
    assert count == pytest.approx(parameters, rel=0.03)


def test_folded_layers_keep_to_the_budget_too() -> None:
    leaked = architecture(LeNet(), shape=(3, 32, 32))
    attack = GitCoarse(parameters=1_500_000, max_layer_features=2000)
    assert sum(p.numel() for p in generator_of(attack, leaked).parameters()) == pytest.approx(1_500_000, rel=0.03)


def test_of_one_image_the_last_layers_input_needs_no_estimate() -> None:
    """``a_1 = h_2(G_2, G_3, a_2)`` with ``a_2`` solved, then ``a_0 = h_1(G_1, G_2, a_1)``."""
    first, second, third = WIDTHS
    assert shapes_of(generator_of(GitCoarse(hidden=3), MLP)) == [(first + second + 7, 6), (second + third + 5, 7)]


def test_of_a_batch_it_is_estimated_from_the_last_bias_and_the_closed_form() -> None:
    first, second, third = WIDTHS
    assert shapes_of(generator_of(GitCoarse(hidden=3), MLP, images=2)) == [
        (first + second + 2 * 7, 2 * 6),
        (second + third + 2 * 5, 2 * 7),
        (third + 4 + 5, 2 * 5),
    ]


def test_without_a_bias_the_output_is_estimated_first() -> None:
    leaked = architecture(LeNet(channels=2, last_bias=False), shape=(1, 4, 4), classes=3)
    *_, last, bootstrap = shapes_of(generator_of(GitCoarse(hidden=3), leaked))
    assert last == (2 * 3 + 3, 2)
    assert bootstrap == (2 * 3, 3)


def test_the_walk_equals_the_recursion_written_out() -> None:
    torch.manual_seed(0)
    network = generator_of(GitCoarse(hidden=3), MLP, images=2).eval()
    features = torch.randn(4, sum(WIDTHS) + 5)
    g1, g2, g3, solved = features.split([*WIDTHS, 5], dim=1)
    h1, h2, h3 = dict(network.named_children())["steps"]
    a2 = h3(torch.cat([g3, g3[:, -4:], solved], dim=1))  # the last four features of the last layer are its bias
    a1 = h2(torch.cat([g2, g3, a2], dim=1))
    a0 = h1(torch.cat([g1, g2, a1], dim=1))
    torch.testing.assert_close(network(features), torch.sigmoid(a0).reshape(4, 2, 1, 3, 2))


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("model", [Mlp(hidden=(5,)), LeNet(channels=2), LeNet(channels=2, last_bias=False)], ids=repr)
def test_every_layers_gradient_matters(model: Model, images: int) -> None:
    leaked = architecture(model)
    layers, features = GitCoarse()._features(leaked)
    torch.manual_seed(0)
    network = GitCoarse(hidden=8).network(layers, features, TargetShape(images, (1, 8, 8))).eval()
    inputs = torch.randn(1, features.size, requires_grad=True)
    network(inputs).square().sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert (inputs.grad != 0).float().mean() > 0.99
