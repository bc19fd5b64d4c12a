from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.base import GenerativeAttack, TargetShape
from fedleak.attacks.generative.git_coarse import GitCoarse
from fedleak.attacks.generative.git_module import GitModule
from fedleak.attacks.generative.lti import Lti
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet15 import ResNet15
from fedleak.models.resnet18 import ResNet18
from fedleak.models.vit import ViT
from tests.builders import architecture

SHAPE = (3, 32, 32)
RESNET = ResNet15(widths=(4, 6, 8, 10), normalisation="none")


def generator_of(attack: GenerativeAttack, model: Model, images: int = 1) -> tuple[nn.Module, list[int]]:
    """The untrained generator, and the widths of its features with the solved input last."""
    graph, features = attack._features(architecture(model, shape=SHAPE))
    torch.manual_seed(0)
    network = attack.network(graph, features, TargetShape(images, SHAPE))
    return network, [*features.widths, features.output.inputs if features.output else 0]


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("model", [Mlp(), LeNet(), ConvNet(), ResNet15(), ResNet18(), ViT()], ids=lambda m: m.kind)
@pytest.mark.parametrize("kind", [Lti, GitCoarse, GitModule])
def test_parameters_come_near_to_the_budget_on_every_architecture(
    kind: type[GenerativeAttack], model: Model, images: int
) -> None:
    """Within half of what one hidden unit more or less costs."""
    attack = kind.model_validate({"parameters": 12_000_000, "max_layer_features": 2048})
    count = sum(p.numel() for p in generator_of(attack, model, images)[0].parameters())
    assert count == pytest.approx(12_000_000, rel=0.03)


def test_in_a_chain_it_is_git_coarse() -> None:
    (module, widths), (coarse, _) = (generator_of(kind(hidden=6), LeNet()) for kind in (GitModule, GitCoarse))
    features = torch.randn(2, sum(widths))
    torch.testing.assert_close(module(features), coarse(features))


def test_the_walk_through_blocks_equals_the_recursion_written_out() -> None:
    network, widths = generator_of(GitModule(hidden=3), RESNET)
    features = torch.randn(2, sum(widths))
    *g, solved = features.split(widths, dim=1)
    h = list(dict(network.named_children())["steps"])
    a4 = h[4](torch.cat([*g[9:12], g[12], solved], dim=1))  # skip and convolutions of the last block; the head behind
    a3 = h[3](torch.cat([*g[6:9], *g[9:12], a4], dim=1))
    a2 = h[2](torch.cat([*g[3:6], *g[6:9], a3], dim=1))
    a1 = h[1](torch.cat([*g[1:3], *g[3:6], a2], dim=1))
    a0 = h[0](torch.cat([g[0], *g[1:3], a1], dim=1))
    torch.testing.assert_close(network(features), torch.sigmoid(a0).reshape(2, 1, *SHAPE))


def test_the_walk_through_attention_equals_the_recursion_written_out() -> None:
    """Eq. 5: every gradient inside the attention block, with the estimate of its output."""
    network, widths = generator_of(GitModule(hidden=3), ViT(width=8, mlp_width=6, blocks=1))
    features = torch.randn(2, sum(widths))
    patches, attention, mlp_in, mlp_out, head, solved = features.split(widths, dim=1)
    h = list(dict(network.named_children())["steps"])
    tokens = h[2](torch.cat([mlp_in, mlp_out, head, solved], dim=1))
    embedded = h[1](torch.cat([attention, mlp_in, mlp_out, tokens], dim=1))
    image = h[0](torch.cat([patches, attention, embedded], dim=1))
    torch.testing.assert_close(network(features), torch.sigmoid(image).reshape(2, 1, *SHAPE))


def test_git_coarse_takes_the_estimate_at_the_end_of_a_shortcut() -> None:
    network, widths = generator_of(GitCoarse(hidden=3), RESNET)
    features = torch.randn(2, sum(widths))
    *g, solved = features.split(widths, dim=1)
    h = list(dict(network.named_children())["steps"])
    a: dict[int, torch.Tensor] = {9: solved}
    for point, own, above, ends in (
        (8, [11], [12], [9]),
        (7, [9, 10], [11, 12], [8, 9]),
        (6, [8], [9, 10], [7]),
        (5, [6, 7], [8, 9, 10], [6, 7]),
        (4, [5], [6, 7], [5]),
        (3, [3, 4], [5, 6, 7], [4, 5]),
        (2, [2], [3, 4], [3]),
        (1, [1], [2, 3, 4], [2, 3]),  # point 1 feeds layer 1 and, by the identity, point 3
        (0, [0], [1], [1]),
    ):
        a[point] = h[point](torch.cat([*(g[i] for i in own), *(g[i] for i in above), *(a[e] for e in ends)], dim=1))
    torch.testing.assert_close(network(features), torch.sigmoid(a[0]).reshape(2, 1, *SHAPE))


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("kind", [GitCoarse, GitModule])
@pytest.mark.parametrize("model", [RESNET, ViT(width=8, mlp_width=6, blocks=1)], ids=lambda m: m.kind)
def test_every_layers_gradient_matters(kind: type[GenerativeAttack], model: Model, images: int) -> None:
    network, widths = generator_of(kind.model_validate({"hidden": 8}), model, images)
    inputs = torch.randn(1, sum(widths), requires_grad=True)
    network(inputs).square().sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert (inputs.grad != 0).float().mean() > 0.99
