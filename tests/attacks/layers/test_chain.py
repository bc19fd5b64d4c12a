from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.layers.chain import Activation, ActivationKind, chain_of, unfold
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
    chain = chain_of(LeNet(channels=4, activation="leaky_relu").build((1, 8, 8), 10, seed=0), (1, 8, 8))
    assert [(x.name, x.activation, x.input_shape, x.output_shape, x.bias) for x in chain] == [
        ("0", Activation("leaky_relu", 0.01), (1, 8, 8), (4, 4, 4), True),
        ("2", Activation("leaky_relu", 0.01), (4, 4, 4), (4, 2, 2), True),
        ("4", Activation("leaky_relu", 0.01), (4, 2, 2), (4, 2, 2), True),
        ("7", Activation(), (16,), (10,), True),
    ]


@pytest.mark.parametrize(("activation", "function"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_activations_are_undone_where_they_can_be(activation: Activation, function) -> None:  # type: ignore[no-untyped-def]
    z = torch.tensor([-2.0, -0.5, 0.3, 1.5], dtype=torch.float64)
    found = activation.inverse(function(z))
    known = found.isfinite()
    torch.testing.assert_close(found[known], z[known])
    assert known.tolist() == ([False, False, True, True] if activation.kind == "relu" else [True] * 4)


@pytest.mark.parametrize(("activation", "limit"), [("sigmoid", 1.0), ("tanh", -1.0)])
def test_a_saturated_activation_tells_nothing(activation: ActivationKind, limit: float) -> None:
    assert Activation(activation).inverse(torch.tensor([limit])).isnan().all()


def test_nested_parts_carry_names_and_shapes() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(27, 5), nn.ReLU()),
        nn.Linear(5, 4),
    )
    chain = chain_of(network, (2, 5, 6))
    assert [(x.name, x.activation.kind, x.input_shape) for x in chain] == [
        ("0", "tanh", (2, 5, 6)),
        ("2.2", "relu", (27,)),
        ("3", "identity", (5,)),
    ]


REFUSED = {
    "pooling": (ConvNet(normalisation="none"), r"2 \(MaxPool2d\): the attack cannot invert this layer"),
    "normalisation": (ConvNet(), r"1 \(BatchNorm2d\): the attack cannot invert this layer"),
    "branches": (ResNet15(), "Sequential has branches"),
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_inverted_is_named(model: Model, message: str) -> None:
    with pytest.raises(AttackFailedError, match=message):
        chain_of(model.build((1, 8, 8), 10, seed=0), (1, 8, 8))


@pytest.mark.parametrize(
    "odd", [nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.GELU(), nn.Conv2d(3, 3, 3, padding=1, groups=3)], ids=repr
)
def test_an_odd_part_is_named(odd: nn.Module) -> None:
    width = 3 * 2 * 3 if not isinstance(odd, nn.MaxPool2d) else 3
    with pytest.raises(AttackFailedError, match=rf"1 \({type(odd).__name__}\)"):
        chain_of(nn.Sequential(nn.Conv2d(2, 3, 3, stride=2), odd, nn.Flatten(), nn.Linear(width, 4)), (2, 5, 7))


def test_an_activation_at_the_end_is_refused() -> None:
    network = nn.Sequential(*Mlp(hidden=(3,)).build((1, 2, 2), 4, seed=0), nn.Sigmoid())  # type: ignore[arg-type]
    with pytest.raises(AttackFailedError, match="needs logits"):
        chain_of(network, (1, 2, 2))


PADDED: list[tuple[int, int, int | str]] = [(3, 2, 1), (3, 1, "same"), (2, 1, "same"), (4, 1, "same"), (3, 2, "valid")]


@pytest.mark.parametrize(("kernel", "stride", "padding"), PADDED)
def test_patches_are_what_each_position_sees(kernel: int, stride: int, padding: int | str) -> None:
    layer = nn.Conv2d(2, 3, kernel, stride=stride, padding=padding)
    inputs = torch.randn(4, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = layer(inputs).flatten(2) - layer.bias[:, None]  # type: ignore[index]
    torch.testing.assert_close(torch.einsum("ok,nkp->nop", layer.weight.flatten(1), unfold(layer, inputs)), expected)
