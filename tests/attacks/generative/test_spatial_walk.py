from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.base import TargetShape
from fedleak.attacks.generative.git_spatial import GitSpatial
from fedleak.attacks.generative.spatial_walk import SpatialWalk, grid_of
from fedleak.attacks.generative.training import split_pairs
from fedleak.attacks.layers.graph import Point
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.resnet15 import ResNet15
from fedleak.models.resnet18 import ResNet18
from fedleak.models.vit import ViT
from fedleak.progress import QuietProgress
from tests.builders import architecture, injected_pairs

CIFAR = (3, 32, 32)
MODELS = [ResNet15(), ResNet18(), ViT()]


def generator_of(attack: GitSpatial, model: Model, shape: InputShape = CIFAR, images: int = 1) -> tuple[nn.Module, int]:
    """The untrained generator and the width of its features."""
    graph, features = attack._features(architecture(model, shape=shape))
    torch.manual_seed(0)
    return attack.network(graph, features, TargetShape(images, shape)), features.size


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.kind)
def test_parameters_come_within_five_per_cent_below_the_budget(model: Model, images: int) -> None:
    """The step is one value more of every layer's code."""
    attack = GitSpatial(parameters=16_000_000, max_layer_features=4096, channels=32)
    network, _ = generator_of(attack, model, images=images)
    assert isinstance(network, SpatialWalk)
    assert 0.95 * 16_000_000 < sum(p.numel() for p in network.parameters()) <= 16_000_000


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 64)])
@pytest.mark.parametrize("model", [ResNet15(widths=(4, 6, 8, 10)), ViT(width=8, mlp_width=6, blocks=1)], ids=repr)
def test_output_is_a_batch_of_images_between_zero_and_one(model: Model, shape: InputShape, images: int) -> None:
    network, width = generator_of(GitSpatial(parameters=300_000, channels=16), model, shape, images)
    output = network(5 * torch.randn(2, width))
    assert output.shape == (2, images, *shape)
    assert 0 <= output.min() <= output.max() <= 1


@pytest.mark.parametrize("model", [ResNet15(widths=(4, 6, 8, 10)), ViT(width=8, mlp_width=6, blocks=1)], ids=repr)
def test_every_layers_gradient_matters(model: Model) -> None:
    network, width = generator_of(GitSpatial(parameters=300_000, channels=16), model, (1, 16, 16))
    for name, parameter in network.named_parameters():
        if "modulate" in name or "picture" in name:
            nn.init.normal_(parameter, std=1e-3)  # small enough to stay inside [0, 1]
    inputs = 0.1 * torch.randn(1, width)
    inputs.requires_grad_()
    network(inputs).square().sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert (inputs.grad != 0).float().mean() > 0.99


def test_maps_of_a_vision_transformer_lie_on_the_grid_of_its_patches() -> None:
    model = ViT(width=8, mlp_width=6, blocks=1)
    graph = trace_layers(model.build((3, 16, 32), 10, seed=0), (3, 16, 32))
    grids = [grid_of(graph, graph.points[step.point]) for step in graph.module_steps()]
    assert grids == [(3, 16, 32), (8, 4, 8), (8, 4, 8), (8, 1, 1)]


def test_what_cannot_be_laid_out_in_space_is_a_failed_attack() -> None:
    graph = trace_layers(ResNet15().build(CIFAR, 10, seed=0), CIFAR)
    with pytest.raises(AttackFailedError, match=r"cannot arrange a tensor of shape \(5, 8\) as a map"):
        grid_of(graph, Point((5, 8), (5, 8), ()))


def best_error(folder: Path, model: Model, count: int, epochs: int, **settings: int) -> tuple[float, float]:
    """Held-out error, and that of the mean image."""
    leaked = architecture(model)
    pairs = injected_pairs(folder, leaked, pairs=count)
    attack = GitSpatial.model_validate(
        {
            "parameters": 200_000,
            "channels": 16,
            "training": {"epochs": epochs, "batch_size": 32, "learning_rate": 5e-3},
            **settings,
        }
    )
    generator = torch.Generator().manual_seed(0)
    artefact = attack.fit(pairs, leaked, generator=generator, progress=QuietProgress(), device=torch.device("cpu"))
    training, held_out = split_pairs(len(pairs), 0.1, torch.Generator().manual_seed(0))
    images = pairs.read_images(held_out)
    mean = float((images - pairs.read_images(training).mean(dim=(0, 1))).square().mean())
    return min(artefact.curves["held_out"]), mean


def test_it_learns_to_see_through_residual_blocks(tmp_path: Path) -> None:
    error, mean = best_error(tmp_path, ResNet15(widths=(4, 6, 8, 10)), 300, 10)
    assert error < 0.75 * mean


def test_a_vision_transformer_with_learned_positions_is_all_but_solved(tmp_path: Path) -> None:
    error, mean = best_error(tmp_path, ViT(patch=2, width=32, mlp_width=8, blocks=1), 200, 10)
    assert error < 0.05 * mean
