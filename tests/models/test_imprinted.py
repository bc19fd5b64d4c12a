from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fedleak.models.imprinted import Imprinted, ImprintedNetwork
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp

SHAPE = (1, 2, 2)


@pytest.mark.parametrize("activation", ["relu", "hard_tanh"])
def test_the_module_adds_a_weighted_sum_of_units_to_every_pixel(activation: str) -> None:
    network = Imprinted(inner=Mlp(hidden=()), bins=3, activation=activation).build(SHAPE, 2, seed=0)
    assert isinstance(network, ImprintedNetwork)
    images = torch.randn(5, *SHAPE)
    front = network.imprint
    units = images.reshape(5, 4) @ front.measure.weight.T + front.measure.bias
    units = units.clamp(min=0) if activation == "relu" else units.clamp(0, 1)
    added = units @ front.carry.weight[0] + front.carry.bias
    torch.testing.assert_close(network(images), network.inner(images + added.reshape(5, 1, 1, 1)))


def test_the_network_behind_it_has_the_weights_that_it_has_alone() -> None:
    inner = LeNet(channels=3, initialisation="kaiming")
    alone, behind = inner.build((1, 8, 8), 10, seed=4), Imprinted(inner=inner, bins=4).build((1, 8, 8), 10, seed=4)
    assert isinstance(behind, ImprintedNetwork)
    assert all(torch.equal(t, behind.inner.state_dict()[n]) for n, t in alone.state_dict().items())


def test_several_groups_read_copies_of_the_image() -> None:
    network = Imprinted(inner="lenet", bins=4, groups=3).build((2, 8, 8), 10, seed=0)
    assert isinstance(network, ImprintedNetwork)
    assert isinstance(network.imprint.copies, nn.Conv2d)
    assert network.imprint.copies.weight.shape == (6, 2, 1, 1)
    assert network.imprint.measure.weight.shape == (4, 3 * 2 * 64)


def test_it_is_written_and_read_with_all_settings_of_the_inner_network() -> None:
    model = Imprinted(inner={"kind": "lenet", "channels": 5}, bins=8)
    assert Imprinted.model_validate(model.model_dump(mode="json")) == model
    assert model.innermost == LeNet(channels=5)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"inner": {"kind": "no_such"}}, "known kinds: convnet"),
        ({"inner": {"kind": "imprinted"}}, "without an imprint module"),
        ({"inner": {"kind": "lenet", "chanels": 3}}, "chanels"),
        ({"weights": "w.safetensors"}, "inner.weights"),
        ({"bins": 1}, "greater than or equal to 2"),
    ],
)
def test_what_makes_no_network_is_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Imprinted.model_validate(settings)
