from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.exact_chain import Activation, exact_chain
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet15 import ResNet15

FUNCTIONS = {
    "relu": (Activation("relu"), torch.relu),
    "leaky_relu": (Activation("leaky_relu", 0.1), nn.LeakyReLU(0.1)),
    "sigmoid": (Activation("sigmoid"), torch.sigmoid),
    "tanh": (Activation("tanh"), torch.tanh),
    "identity": (Activation(), lambda z: z),
}


@pytest.mark.parametrize(("activation", "function"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_derivative_follows_from_the_activation_as_autograd_says(activation: Activation, function) -> None:  # type: ignore[no-untyped-def]
    z = torch.linspace(-4, 4, 101, dtype=torch.float64)[1::2].requires_grad_()
    a = function(z)
    (expected,) = torch.autograd.grad(a.sum(), z)
    torch.testing.assert_close(activation.derivative(a.detach()), expected)


def test_lenet_by_hand() -> None:
    chain = exact_chain(LeNet(channels=4, activation="leaky_relu").build((1, 8, 8), 10, seed=0), (1, 8, 8))
    assert [(x.name, x.activation, x.input_shape, x.output_shape, x.bias) for x in chain] == [
        ("0", Activation("leaky_relu", 0.01), (1, 8, 8), (4, 4, 4), True),
        ("2", Activation("leaky_relu", 0.01), (4, 4, 4), (4, 2, 2), True),
        ("4", Activation("leaky_relu", 0.01), (4, 2, 2), (4, 2, 2), True),
        ("7", Activation(), (16,), (10,), True),
    ]


REFUSED = {
    "pooling": (ConvNet(normalisation="none"), r"2 \(MaxPool2d\): exact_git cannot invert it; try coarse_git"),
    "normalisation": (ConvNet(), r"1 \(BatchNorm2d\): exact_git cannot invert it"),
    "branches": (ResNet15(), "Sequential branches; try coarse_git"),
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_inverted_is_named(model: Model, message: str) -> None:
    with pytest.raises(AttackFailedError, match=message):
        exact_chain(model.build((1, 8, 8), 10, seed=0), (1, 8, 8))


def test_an_activation_at_the_end_is_refused() -> None:
    network = nn.Sequential(*Mlp(hidden=(3,)).build((1, 2, 2), 4, seed=0), nn.Sigmoid())  # type: ignore[arg-type]
    with pytest.raises(AttackFailedError, match="needs logits"):
        exact_chain(network, (1, 2, 2))
