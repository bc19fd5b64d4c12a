from __future__ import annotations

import pytest
from torch import nn

from fedleak.attacks.layers.graph import GeneratorStep, LayerGraph
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet15 import ResNet15
from fedleak.models.vit import ViT


def graph_of(model: Model) -> LayerGraph:
    return trace_layers(model.build((1, 16, 16), 10, seed=0), (1, 16, 16))


RESNET = graph_of(ResNet15(widths=(4, 6, 8, 10)))
VIT = graph_of(ViT(width=8, mlp_width=6, blocks=1))


@pytest.mark.parametrize("model", [Mlp(hidden=(5, 4, 3)), LeNet()])
def test_the_steps_of_a_chain_are_the_recursion(model: Model) -> None:
    """``a_{i-1} = h_i(G_i, G_{i+1}, a_i)``: the layer itself, the next one, the point between; four layers."""
    graph = graph_of(model)
    assert graph.is_chain
    expected = tuple(GeneratorStep(i, (i,), (i + 1,) if i < 3 else (), (i + 1,)) for i in range(4))
    assert graph.steps() == graph.module_steps() == expected
    assert graph.modules() == ((0,), (1,), (2,), (3,))


def test_an_estimate_that_feeds_a_shortcut_takes_what_stands_at_its_end() -> None:
    """ResNet, first block: point 1 feeds layer 1 and, by the identity, point 3, which layers 3 and 4 read."""
    assert not RESNET.is_chain
    assert RESNET.steps()[:4] == (
        GeneratorStep(0, (0,), (1,), (1,)),
        GeneratorStep(1, (1,), (2, 3, 4), (2, 3)),
        GeneratorStep(2, (2,), (3, 4), (3,)),
        GeneratorStep(3, (3, 4), (5, 6, 7), (4, 5)),  # the shortcut's own weight, layer 3, leads to point 5
    )


def test_residual_blocks_are_modules() -> None:
    assert RESNET.cuts() == (0, 1, 3, 5, 7, 9, 10)
    assert RESNET.modules() == ((0,), (1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11), (12,))
    assert RESNET.module_steps()[1:3] == (
        GeneratorStep(1, (1, 2), (3, 4, 5), (3,)),
        GeneratorStep(3, (3, 4, 5), (6, 7, 8), (5,)),
    )
    assert RESNET.module_steps()[-1] == GeneratorStep(9, (12,), (), (10,))


def test_patch_embedding_attention_and_mlp_are_modules() -> None:
    assert VIT.modules() == ((0,), (1,), (2, 3), (4,))
    assert VIT.module_steps() == (
        GeneratorStep(0, (0,), (1,), (1,)),
        GeneratorStep(1, (1,), (2, 3), (2,)),
        GeneratorStep(2, (2, 3), (4,), (4,)),
        GeneratorStep(4, (4,), (), (5,)),
    )


def test_the_last_layer_is_the_one_that_alone_gives_the_output() -> None:
    assert RESNET.last is RESNET.layers[-1]
    assert VIT.last is VIT.layers[-1]
    no_end = trace_layers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 4, 3)), (1, 8, 8))
    assert no_end.last is None
