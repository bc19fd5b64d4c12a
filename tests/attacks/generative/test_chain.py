from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.attacks.generative.chain import ChainLayer, trace_chain
from fedleak.errors import AttackFailedError
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp


def layer(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], *behind: str) -> ChainLayer:
    """A layer with a bias, followed by the normalisations ``behind``."""
    parameters = tuple(f"{module}.{part}" for module in (name, *behind) for part in ("weight", "bias"))
    return ChainLayer(name, parameters, f"{name}.bias", inputs, outputs)


def test_mlp() -> None:
    network = Mlp(hidden=(20, 15)).build((1, 8, 8), 10, seed=0)
    assert trace_chain(network, (1, 8, 8)) == (
        layer("1", (64,), (20,)),
        layer("3", (20,), (15,)),
        layer("5", (15,), (10,)),
    )


def test_lenet() -> None:
    network = LeNet(channels=6).build((3, 32, 32), 10, seed=0)
    assert trace_chain(network, (3, 32, 32)) == (
        layer("0", (3, 32, 32), (6, 16, 16)),
        layer("2", (6, 16, 16), (6, 8, 8)),
        layer("4", (6, 8, 8), (6, 8, 8)),
        layer("7", (384,), (10,)),
    )


def test_convnet_normalisations_belong_to_the_layer_before() -> None:
    network = ConvNet(widths=(4, 6)).build((1, 8, 8), 10, seed=0)
    assert trace_chain(network, (1, 8, 8)) == (
        layer("0", (1, 8, 8), (4, 8, 8), "1"),
        layer("4", (4, 4, 4), (6, 4, 4), "5"),
        layer("9", (24,), (10,)),
    )


def test_a_layer_without_bias_says_so() -> None:
    last = trace_chain(LeNet(last_bias=False).build((1, 8, 8), 10, seed=0), (1, 8, 8))[-1]
    assert (last.parameters, last.bias) == (("7.weight",), None)


def test_a_flattened_input_remembers_the_shape_of_its_map() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(72, 5), nn.Linear(5, 3)
    )
    traced = trace_chain(network, (1, 8, 8))
    assert [(t.input_shape, t.map_shape) for t in traced] == [
        ((1, 8, 8), (1, 8, 8)),
        ((72,), (2, 6, 6)),
        ((5,), (5,)),
    ]


@pytest.mark.parametrize("model", [Mlp(), LeNet(), ConvNet()])
def test_every_parameter_belongs_to_exactly_one_layer(model: Mlp | LeNet | ConvNet) -> None:
    network = model.build((1, 8, 8), 10, seed=0)
    listed = [name for traced in trace_chain(network, (1, 8, 8)) for name in traced.parameters]
    assert listed == [name for name, _ in network.named_parameters()]


def test_tracing_leaves_the_model_as_it_was() -> None:
    network = ConvNet(widths=(4,)).build((1, 8, 8), 10, seed=0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trace_chain(network, (1, 8, 8))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class Net(nn.Module):
    """Two layers and a forward pass of one's own."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def test_functions_between_layers_are_followed() -> None:
    network = Net(lambda net, x: net.second(torch.relu(net.first(torch.flatten(x, 1)).flatten(1))))
    assert [traced.name for traced in trace_chain(network, (4,))] == ["first", "second"]


BRANCHES = {
    "shortcut": (lambda net, x: net.second(h := net.first(x)) + h, "first"),
    "from the input": (lambda net, x: net.first(x) + net.second(x), "x"),
    "functional join": (lambda net, x: torch.cat([h := net.first(x), net.second(h)], dim=1), "first"),
}


@pytest.mark.parametrize(("forward", "node"), BRANCHES.values(), ids=BRANCHES)
def test_a_branch_is_refused_by_the_name_of_its_node(forward: Callable[[Net, Tensor], Tensor], node: str) -> None:
    with pytest.raises(AttackFailedError, match=rf"^{node} .*branches here; this attack needs a chain"):
        trace_chain(Net(forward), (4,))


UNSUPPORTED = {
    "doubled": (lambda net, x: net.second(operator.mul(net.first(x), 2)), "mul"),
    "functional": (lambda net, x: F.softplus(net.first(x)), "softplus"),
    "method": (lambda net, x: net.first(x).sin(), "sin"),
}


@pytest.mark.parametrize(("forward", "node"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_an_unknown_operation_is_named(forward: Callable[[Net, Tensor], Tensor], node: str) -> None:
    with pytest.raises(AttackFailedError, match=rf"^{node} .*unsupported operation"):
        trace_chain(Net(forward), (4,))


@pytest.mark.parametrize("module", [nn.PReLU(), nn.LayerNorm(4)])
def test_an_unknown_layer_is_named(module: nn.Module) -> None:
    network = nn.Sequential(module, nn.Linear(4, 4))
    with pytest.raises(AttackFailedError, match=rf"^0 \({type(module).__name__}\): unsupported layer"):
        trace_chain(network, (4,))


def test_control_flow_that_depends_on_data_is_refused() -> None:
    network = Net(lambda net, x: net.first(x) if x.sum() > 0 else net.second(x))
    with pytest.raises(AttackFailedError, match="Net cannot be traced"):
        trace_chain(network, (4,))


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(AttackFailedError, match="no linear or convolutional layer"):
        trace_chain(nn.Sequential(nn.Flatten(), nn.ReLU()), (4,))
