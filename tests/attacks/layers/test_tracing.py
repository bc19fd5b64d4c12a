from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.attacks.layers.graph import LayerGraph, LayerKind
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.families import kinds
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.densenet import DenseNet
from fedleak.models.googlenet import GoogLeNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet import ResNet
from fedleak.models.resnet15 import ResNet15
from fedleak.models.resnet18 import ResNet18
from fedleak.models.swin import Swin
from fedleak.models.vit import ViT
from tests.builders import small_model

Row = tuple[str, LayerKind, tuple[str, ...], tuple[int, ...], tuple[int, ...], int]
"""Name, kind, parameters, shapes of input and output, number of the point that it reads."""
PointRow = tuple[tuple[int, ...], tuple[int, ...]]
"""Layers whose outputs arrive, points that arrive by a shortcut."""


def wb(*modules: str) -> tuple[str, ...]:
    """Weight and bias of each module."""
    return tuple(f"{module}.{part}" for module in modules for part in ("weight", "bias"))


def rows(graph: LayerGraph) -> list[Row]:
    return [(x.name, x.kind, x.parameters, x.input_shape, x.output_shape, x.source) for x in graph.layers]


def points(graph: LayerGraph) -> list[PointRow]:
    return [(p.inputs, p.shortcuts) for p in graph.points]


def traced(model: Model, shape: InputShape, classes: int = 10) -> LayerGraph:
    return trace_layers(model.build(shape, classes, seed=0), shape)


def chain_of(count: int) -> list[PointRow]:
    return [((), ()), *(((i,), ()) for i in range(count))]


def test_mlp() -> None:
    graph = traced(Mlp(hidden=(20, 15)), (1, 8, 8))
    assert rows(graph) == [
        ("1", "linear", wb("1"), (64,), (20,), 0),
        ("3", "linear", wb("3"), (20,), (15,), 1),
        ("5", "linear", wb("5"), (15,), (10,), 2),
    ]
    assert points(graph) == chain_of(3)


def test_lenet() -> None:
    graph = traced(LeNet(channels=6), (3, 32, 32))
    assert rows(graph) == [
        ("0", "convolution", wb("0"), (3, 32, 32), (6, 16, 16), 0),
        ("2", "convolution", wb("2"), (6, 16, 16), (6, 8, 8), 1),
        ("4", "convolution", wb("4"), (6, 8, 8), (6, 8, 8), 2),
        ("7", "linear", wb("7"), (384,), (10,), 3),
    ]
    assert points(graph) == chain_of(4)


def test_convnet_normalisations_belong_to_the_layer_before() -> None:
    graph = traced(ConvNet(widths=(4, 6)), (1, 8, 8))
    assert rows(graph) == [
        ("0", "convolution", wb("0", "1"), (1, 8, 8), (4, 8, 8), 0),
        ("4", "convolution", wb("4", "5"), (4, 4, 4), (6, 4, 4), 1),
        ("9", "linear", wb("9"), (24,), (10,), 2),
    ]
    assert points(graph) == chain_of(3)


def test_resnet15() -> None:
    graph = traced(ResNet15(widths=(4, 6, 8, 10), normalisation="none"), (3, 16, 16))
    conv: LayerKind = "convolution"
    assert rows(graph) == [
        ("0", conv, wb("0"), (3, 16, 16), (4, 16, 16), 0),
        ("2.residual.0", conv, wb("2.residual.0"), (4, 16, 16), (4, 16, 16), 1),
        ("2.residual.2", conv, wb("2.residual.2"), (4, 16, 16), (4, 16, 16), 2),
        ("3.skip.0", conv, wb("3.skip.0"), (4, 16, 16), (6, 8, 8), 3),
        ("3.residual.0", conv, wb("3.residual.0"), (4, 16, 16), (6, 8, 8), 3),
        ("3.residual.2", conv, wb("3.residual.2"), (6, 8, 8), (6, 8, 8), 4),
        ("4.skip.0", conv, wb("4.skip.0"), (6, 8, 8), (8, 4, 4), 5),
        ("4.residual.0", conv, wb("4.residual.0"), (6, 8, 8), (8, 4, 4), 5),
        ("4.residual.2", conv, wb("4.residual.2"), (8, 4, 4), (8, 4, 4), 6),
        ("5.skip.0", conv, wb("5.skip.0"), (8, 4, 4), (10, 2, 2), 7),
        ("5.residual.0", conv, wb("5.residual.0"), (8, 4, 4), (10, 2, 2), 7),
        ("5.residual.2", conv, wb("5.residual.2"), (10, 2, 2), (10, 2, 2), 8),
        ("8", "linear", wb("8"), (10,), (10,), 9),
    ]
    assert points(graph) == [
        ((), ()),
        ((0,), ()),
        ((1,), ()),
        ((2,), (1,)),  # the identity
        ((4,), ()),
        ((5, 3), ()),
        ((7,), ()),
        ((8, 6), ()),
        ((10,), ()),
        ((11, 9), ()),
        ((12,), ()),
    ]


def resnet18_rows() -> list[Row]:
    """Stem, four stages of two blocks, head; sides 16, 16, 8, 4, 2; written block by block."""
    conv: LayerKind = "convolution"
    table: list[Row] = [("conv1", conv, ("conv1.weight", *wb("bn1")), (3, 16, 16), (64, 16, 16), 0)]
    point, width, side = 1, 64, 16
    for stage, out in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            half = side // 2 if stage > 1 and block == 0 else side
            incoming, outgoing = (width, side, side), (out, half, half)
            name = f"layer{stage}.{block}"
            for part, norm, shape, source in (("conv1", "bn1", incoming, point), ("conv2", "bn2", outgoing, point + 1)):
                own = (f"{name}.{part}.weight", *wb(f"{name}.{norm}"))
                table.append((f"{name}.{part}", conv, own, shape, outgoing, source))
            if stage > 1 and block == 0:
                own = (f"{name}.downsample.0.weight", *wb(f"{name}.downsample.1"))
                table.append((f"{name}.downsample.0", conv, own, incoming, outgoing, point))
            point, width, side = point + 2, out, half
    return [*table, ("fc", "linear", wb("fc"), (512,), (10,), 17)]


def test_torchvisions_resnet18() -> None:
    graph = traced(ResNet18(), (3, 16, 16))
    assert rows(graph) == resnet18_rows()
    assert points(graph) == [
        ((), ()),
        ((0,), ()),
        ((1,), ()),
        ((2,), (1,)),
        ((3,), ()),
        ((4,), (3,)),
        ((5,), ()),
        ((6, 7), ()),
        ((8,), ()),
        ((9,), (7,)),
        ((10,), ()),
        ((11, 12), ()),
        ((13,), ()),
        ((14,), (11,)),
        ((15,), ()),
        ((16, 17), ()),
        ((18,), ()),
        ((19,), (15,)),
        ((20,), ()),
    ]


VIT = ViT(patch=4, width=8, mlp_width=6, blocks=4, heads=4)


def vit_rows() -> list[Row]:
    """The embedding with class token and positions; four blocks of attention and two linear layers; the head."""
    embedding = (*wb("embedding"), "class_token", "encoder.pos_embedding")
    table: list[Row] = [("embedding", "patch_embedding", embedding, (3, 16, 16), (8, 4, 4), 0)]
    for i in range(4):
        block, point = f"encoder.layers.encoder_layer_{i}", 3 * i + 1
        attention = f"{block}.self_attention"
        projections = (f"{attention}.in_proj_weight", f"{attention}.in_proj_bias", *wb(f"{attention}.out_proj"))
        table += [
            (attention, "attention", (*wb(f"{block}.ln_1"), *projections), (17, 8), (17, 8), point),
            (f"{block}.mlp.0", "linear", wb(f"{block}.ln_2", f"{block}.mlp.0"), (17, 8), (17, 6), point + 1),
            (f"{block}.mlp.3", "linear", wb(f"{block}.mlp.3"), (17, 6), (17, 8), point + 2),
        ]
    return [*table, ("head", "linear", wb("encoder.ln", "head"), (8,), (10,), 13)]


def test_vit() -> None:
    graph = traced(VIT, (3, 16, 16))
    assert rows(graph) == vit_rows()
    assert points(graph) == [
        ((), ()),
        ((0,), ()),
        ((1,), (1,)),
        ((2,), ()),
        ((3,), (2,)),
        ((4,), (4,)),
        ((5,), ()),
        ((6,), (5,)),
        ((7,), (7,)),
        ((8,), ()),
        ((9,), (8,)),
        ((10,), (10,)),
        ((11,), ()),
        ((12,), (11,)),
        ((13,), ()),
    ]


def test_the_position_embedding_is_the_offset_of_the_patches_behind_the_class_token() -> None:
    first, *rest = traced(VIT, (3, 16, 16)).layers
    assert (first.offset, first.offset_start) == ("encoder.pos_embedding", 1)
    assert all(layer.offset is None for layer in rest)


def test_a_layer_without_bias_says_so() -> None:
    last = traced(LeNet(last_bias=False), (1, 8, 8)).layers[-1]
    assert (last.parameters, last.weight, last.bias) == (("7.weight",), "7.weight", None)


def test_a_flattened_input_remembers_the_shape_of_its_map() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(72, 5), nn.Linear(5, 3)
    )
    graph = trace_layers(network, (1, 8, 8))
    expected = [((1, 8, 8), (1, 8, 8)), ((72,), (2, 6, 6)), ((5,), (5,))]
    assert [(x.input_shape, x.map_shape) for x in graph.layers] == expected
    assert [(p.shape, p.map_shape) for p in graph.points[:-1]] == expected


KINDS = [kind for kind in kinds("model") if kind not in ("factory", "swin")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_belongs_to_exactly_one_layer(kind: str) -> None:
    network = small_model(kind).build((1, 32, 32), 10, seed=0)
    listed = [name for layer in trace_layers(network, (1, 32, 32)).layers for name in layer.parameters]
    assert sorted(listed) == sorted(name for name, _ in network.named_parameters())


def test_a_dense_block_is_read_through_concatenations() -> None:
    graph = traced(DenseNet(growth=2, blocks=(3,)), (3, 8, 8))
    readers = [layer for layer in graph.layers if layer.name.endswith("conv1")]
    assert [graph.points[layer.source].inputs for layer in readers] == [(0,), (2,), (2, 4)]
    assert [graph.points[layer.source].shortcuts for layer in readers] == [(), (1,), (1,)]


def test_a_net_in_net_block_is_four_branches_that_meet() -> None:
    graph = traced(GoogLeNet(width=8), (3, 16, 16))
    names = [layer.name for layer in graph.layers]
    first = graph.points[graph.layers[names.index("inception3b.branch1.conv")].source]
    ends = ("branch1.conv", "branch2.1.conv", "branch3.1.conv", "branch4.1.conv")
    assert [names[number] for number in first.inputs] == [f"inception3a.{end}" for end in ends]


def test_a_cut_skip_leaves_a_chain() -> None:
    positions = ResNet(depth=18).positions()
    assert traced(ResNet(width=4, cut_skips=positions), (3, 8, 8)).is_chain
    assert not traced(ResNet(width=4, cut_skips=positions[1:]), (3, 8, 8)).is_chain


def test_windows_of_attention_are_named_as_what_is_not_understood() -> None:
    message = r"relative_position_bias.*: unsupported operation in features\.1\.0\.attn$"
    with pytest.raises(AttackFailedError, match=message):
        traced(Swin(width=6, heads=(1, 1, 1, 1)), (3, 16, 16))


def test_tracing_leaves_the_model_as_it_was() -> None:
    network = ResNet15().build((1, 8, 8), 10, seed=0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trace_layers(network, (1, 8, 8))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class Net(nn.Module):
    """Three layers and a forward pass of one's own."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.wide = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 4)
        self.norm, self.attention = nn.LayerNorm(4), nn.MultiheadAttention(4, 2, batch_first=True)
        self.token = nn.Parameter(torch.zeros(1, 4))
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


JOINS = {
    "between": (
        lambda net, x: net.second(torch.relu(net.first(torch.flatten(x, 1)).flatten(1))),
        [((), ()), ((0,), ()), ((1,), ())],
    ),
    "shortcut": (
        lambda net, x: net.second(h := net.first(x)) + h,
        [((), ()), ((0,), ()), ((1,), (1,))],
    ),
    "two ways from the input": (lambda net, x: net.first(x) + net.second(x), [((), ()), ((0, 1), ())]),
    "concatenation": (
        lambda net, x: net.wide(torch.cat([x, net.first(x)], dim=1)),
        [((), ()), ((0,), (0,)), ((1,), ())],
    ),
    "in place": (
        lambda net, x: net.second(operator.iadd(net.first(x), x)),
        [((), ()), ((0,), (0,)), ((1,), ())],
    ),
}


@pytest.mark.parametrize(("forward", "expected"), JOINS.values(), ids=JOINS)
def test_joins(forward: Callable[[Net, Tensor], Tensor], expected: list[PointRow]) -> None:
    assert points(trace_layers(Net(forward), (4,))) == expected


def test_a_normalisation_of_a_sum_belongs_to_the_layer_behind() -> None:
    graph = trace_layers(Net(lambda net, x: net.second(net.norm(net.first(x) + x))), (4,))
    assert [layer.parameters for layer in graph.layers] == [wb("first"), wb("norm", "second")]


UNSUPPORTED = {
    "doubled": (lambda net, x: net.second(operator.mul(net.first(x), 2)), r"mul \(mul\): unsupported operation"),
    "functional": (lambda net, x: F.softplus(net.first(x)), r"softplus .*: unsupported operation"),
    "method": (lambda net, x: net.first(x).sin(), r"sin \(sin\): unsupported operation"),
    "product": (lambda net, x: net.first(x) * net.second(x), r"mul \(mul\): unsupported operation"),
    "twice": (lambda net, x: net.first(net.first(x)), r"first \(Linear\): unsupported: used more than once"),
    "cross-attention": (
        lambda net, x: net.attention(net.first(x), net.second(x), x)[0],
        r"attention \(MultiheadAttention\): unsupported: more than one input tensor",
    ),
    "last norm": (lambda net, x: net.norm(net.first(x) + x), r"norm\.weight: unsupported: no layer follows"),
}


@pytest.mark.parametrize(("forward", "message"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_is_not_understood_is_named(forward: Callable[[Net, Tensor], Tensor], message: str) -> None:
    with pytest.raises(AttackFailedError, match=rf"^{message}"):
        trace_layers(Net(forward), (1, 4) if "attention" in message else (4,))


def test_an_unknown_layer_is_named() -> None:
    with pytest.raises(AttackFailedError, match=r"^0 \(PReLU\): unsupported layer"):
        trace_layers(nn.Sequential(nn.PReLU(), nn.Linear(4, 4)), (4,))


def test_control_flow_that_depends_on_data_is_refused() -> None:
    network = Net(lambda net, x: net.first(x) if x.sum() > 0 else net.second(x))
    with pytest.raises(AttackFailedError, match="Net cannot be traced"):
        trace_layers(network, (4,))


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(AttackFailedError, match="no linear or convolutional layer"):
        trace_layers(nn.Sequential(nn.Flatten(), nn.ReLU()), (4,))
