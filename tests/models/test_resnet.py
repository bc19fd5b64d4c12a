from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torchvision.models import (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
)

from fedleak.models.resnet import ResNet
from fedleak.models.resnet18 import ResNet18
from tests.models.counting import parameters

PUBLISHED = {
    18: ResNet18_Weights,
    34: ResNet34_Weights,
    50: ResNet50_Weights,
    101: ResNet101_Weights,
    152: ResNet152_Weights,
}


@pytest.mark.parametrize("depth", list(PUBLISHED))
def test_parameters_are_the_published_ones(depth: int) -> None:
    model = ResNet.model_validate({"depth": depth, "stem": "imagenet"})
    assert parameters(model, (3, 224, 224), 1000) == PUBLISHED[depth].DEFAULT.meta["num_params"]


def test_parameters_on_cifar() -> None:
    counts = [parameters(ResNet.model_validate({"depth": depth})) for depth in (18, 34, 50)]
    assert counts == [11_173_962, 21_282_122, 23_520_842]


def test_resnet18_is_depth_18() -> None:
    first, second = (model.build((3, 8, 8), 10, seed=3).state_dict() for model in (ResNet18(), ResNet(depth=18)))
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("depth", [18, 50])
def test_width_scales_every_layer(depth: int) -> None:
    shapes = []
    for width in (4, 8):
        network = ResNet.model_validate({"depth": depth, "width": width}).build((3, 8, 8), 10, seed=0).eval()
        assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 10)
        shapes.append([m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)])
    assert shapes[1] == [2 * channels for channels in shapes[0]]


def test_positions_are_the_blocks_in_order() -> None:
    network = ResNet(depth=34, width=4).build((3, 8, 8), 10, seed=0)
    blocks = [name for name, module in network.named_modules() if hasattr(module, "downsample")]
    assert list(ResNet(depth=34).positions()) == blocks
    assert len(blocks) == 16


def outputs(network: nn.Module, positions: tuple[str, ...], images: Tensor) -> dict[str, Tensor]:
    """What each block gives."""
    seen: dict[str, Tensor] = {}
    for name in positions:
        network.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.clone()}))
    network(images)
    return seen


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize(("depth", "cut"), [(18, "layer1.0"), (18, "layer2.0"), (18, "layer4.1"), (50, "layer1.1")])
def test_cutting_a_skip_changes_that_skip_alone(depth: int, cut: str, norm: str) -> None:
    settings = {"depth": depth, "width": 4, "normalisation": norm}
    usual, other = ResNet.model_validate(settings), ResNet.model_validate(settings | {"cut_skips": [cut]})
    whole, without = (model.build((3, 16, 16), 10, seed=1).eval() for model in (usual, other))
    state, kept = whole.state_dict(), without.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in kept)
    assert all(name.startswith(f"{cut}.downsample.") for name in state.keys() - kept.keys())
    assert (state.keys() != kept.keys()) == (cut == "layer2.0"), "its projection goes with it"
    images, positions = torch.randn(2, 3, 16, 16), usual.positions()
    before, after = outputs(whole, positions, images), outputs(without, positions, images)
    place = positions.index(cut)
    assert all(torch.equal(before[name], after[name]) for name in positions[:place])
    assert not torch.allclose(before[cut], after[cut])
    incoming = before[positions[place - 1]] if place else whole.relu(whole.bn1(whole.conv1(images)))  # type: ignore[operator]
    torch.testing.assert_close(after[cut], plain(whole.get_submodule(cut), incoming))


def plain(block: nn.Module, x: Tensor) -> Tensor:
    """The residual branch of torchvision's block by itself."""
    for i in range(1, 4 if hasattr(block, "conv3") else 3):
        x = torch.relu(block.get_submodule(f"bn{i}")(block.get_submodule(f"conv{i}")(x)))
    return x


def test_every_skip_can_be_cut() -> None:
    positions = ResNet(depth=34).positions()
    network = ResNet(depth=34, width=4, cut_skips=positions).build((3, 8, 8), 10, seed=0).eval()
    assert not any("downsample" in name for name in network.state_dict())
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 10)


def test_unknown_positions_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"no block layer1\.2; blocks: layer1\.0, layer1\.1, layer2\.0"):
        ResNet(cut_skips=("layer1.2",))
