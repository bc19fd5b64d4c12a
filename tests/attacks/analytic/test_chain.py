from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.analytic.chain import chain_of, gradient_rows, invert_activation, weight_rows
from fedleak.errors import AttackFailedError

SHAPE = (2, 5, 6)
CONVOLUTION = nn.Conv2d(2, 3, 3, stride=2, padding=1)


def test_links_carry_names_shapes_and_activations() -> None:
    module = nn.Sequential(CONVOLUTION, nn.Tanh(), nn.Sequential(nn.Flatten(), nn.Linear(27, 5), nn.ReLU()))
    first, second, last = chain_of(nn.Sequential(*module, nn.Linear(5, 4)), SHAPE)
    assert (first.name, first.shape) == ("0", SHAPE)
    assert isinstance(first.activation, nn.Tanh)
    assert (second.name, second.shape) == ("2.1", (27,))
    assert (last.name, last.shape, last.activation) == ("3", (5,), None)


@pytest.mark.parametrize(
    "odd", [nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.GELU(), nn.Conv2d(3, 3, 3, groups=3), nn.Dropout()], ids=repr
)
def test_what_cannot_be_inverted_is_named(odd: nn.Module) -> None:
    with pytest.raises(AttackFailedError, match=f"1: {type(odd).__name__}"):
        chain_of(nn.Sequential(CONVOLUTION, odd, nn.Flatten(), nn.Linear(27, 4)), SHAPE)


def test_a_network_that_is_no_chain_is_refused() -> None:
    with pytest.raises(AttackFailedError, match="Linear"):
        chain_of(nn.Linear(3, 4), (1, 1, 3))
    with pytest.raises(AttackFailedError, match="last layer"):
        chain_of(nn.Sequential(CONVOLUTION, nn.Tanh()), SHAPE)


@pytest.mark.parametrize("layer", [CONVOLUTION, nn.Conv2d(2, 3, (3, 2), dilation=(1, 2), bias=False)], ids=repr)
def test_both_blocks_say_what_the_layer_and_its_gradient_say(layer: nn.Conv2d) -> None:
    inputs = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    link = chain_of(nn.Sequential(layer, nn.Flatten(), nn.Linear(layer(inputs).numel(), 4)), SHAPE)[0]
    outputs = layer(inputs)
    upstream = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    weight = layer.weight.detach()
    bias = 0 if layer.bias is None else layer.bias[:, None, None]
    torch.testing.assert_close(weight_rows(link, weight) @ inputs.flatten(), (outputs - bias)[0].flatten().detach())
    (gradient,) = torch.autograd.grad(outputs, layer.weight, upstream)
    torch.testing.assert_close(gradient_rows(link, upstream[0].flatten(1)) @ inputs.flatten(), gradient.flatten())


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.Tanh(), nn.LeakyReLU(0.1), nn.ReLU()], ids=repr)
def test_activations_are_undone_where_they_can_be(activation: nn.Module) -> None:
    before = torch.tensor([-2.0, -0.5, 0.3, 1.5], dtype=torch.float64, requires_grad=True)
    outputs = activation(before)
    found, known, slope = invert_activation(activation, outputs.detach())
    torch.testing.assert_close(found[known], before.detach()[known])
    assert known.tolist() == ([False, False, True, True] if isinstance(activation, nn.ReLU) else [True] * 4)
    torch.testing.assert_close(slope, torch.autograd.grad(outputs.sum(), before)[0])
