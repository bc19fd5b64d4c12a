from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev

from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.analysis.igsa import (
    Igsa,
    depth_weights,
    draw_directions,
    draw_in_ball,
    jacobian_norms,
    layers,
)
from fedleak.models.convnet import ConvNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet15 import ResNet15

SHAPE = (1, 2, 3)
MEAN, STD = (0.4,), (0.5,)


def batch(network: nn.Module, *, images: int = 2, shape: tuple[int, int, int] = SHAPE) -> LeakedBatch:
    drawn = torch.rand(images, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean, std = MEAN * shape[0], STD * shape[0]
    return LeakedBatch(network.double().eval(), drawn, torch.arange(images) % 4, mean=mean, std=std)


def tiny() -> LeakedBatch:
    return batch(Mlp(hidden=(5, 4), activation="sigmoid").build(SHAPE, 4, seed=0))


def full_jacobian_norms(leaked: LeakedBatch, image: Tensor, label: Tensor) -> Tensor:
    """By forming the whole Jacobian, weight and bias of a layer together."""
    parameters = {name: p.detach() for name, p in leaked.module.named_parameters()}
    shift, scale = leaked.mean[0], leaked.std[0]

    def gradient(x: Tensor) -> dict[str, Tensor]:
        def loss(weights: dict[str, Tensor]) -> Tensor:
            return F.cross_entropy(functional_call(leaked.module, weights, ((x[None] - shift) / scale,)), label[None])

        return grad(loss)(parameters)

    jacobian = jacrev(gradient)(image)
    names = ["1", "3", "5"]
    return torch.stack([sum(jacobian[f"{n}.{p}"].square().sum() for p in ("weight", "bias")) for n in names]).sqrt()


def test_with_every_direction_the_norms_are_those_of_the_full_jacobian() -> None:
    leaked, draws = tiny(), torch.Generator().manual_seed(0)
    directions = draw_directions(leaked.images[0], 6, draws)
    norms = jacobian_norms(leaked, leaked.images[0], leaked.labels[0], directions)
    torch.testing.assert_close(norms, full_jacobian_norms(leaked, leaked.images[0], leaked.labels[0]))


def test_the_value_is_one_over_the_weighted_mean_norm_of_the_points_around() -> None:
    leaked = tiny()
    metric = Igsa(samples=3, projections=6, radius=0.3)
    value = metric.evaluate(leaked, generator=torch.Generator().manual_seed(5))
    draws, expected = torch.Generator().manual_seed(5), []
    for image, label in zip(leaked.images, leaked.labels, strict=True):
        sums = []
        for _ in range(3):
            near = image + 0.3 * draw_in_ball(image, draws)
            sums.append((torch.tensor([3, 2, 1]) / 6 * full_jacobian_norms(leaked, near, label)).sum())
            draw_directions(image, 6, draws)
        expected.append(1 / torch.stack(sums).mean())
    torch.testing.assert_close(value, torch.stack(expected))


def test_few_directions_estimate_the_norm() -> None:
    leaked, draws = tiny(), torch.Generator().manual_seed(0)
    image, label = leaked.images[0], leaked.labels[0]
    squares = torch.stack(
        [jacobian_norms(leaked, image, label, draw_directions(image, 2, draws)).square() for _ in range(300)]
    )
    expected = full_jacobian_norms(leaked, image, label).square()
    error = squares.std(dim=0) / 300**0.5
    assert ((squares.mean(dim=0) - expected).abs() < 4 * error).all()


def test_a_steeper_network_is_less_smooth() -> None:
    gentle, steep = tiny(), tiny()
    with torch.no_grad():
        for parameter in steep.module.parameters():
            parameter.mul_(3)
    values = [Igsa().evaluate(b, generator=torch.Generator().manual_seed(0)).mean() for b in (gentle, steep)]
    assert values[0] > values[1]


def test_directions_are_orthonormal_and_points_fill_the_ball() -> None:
    draws, image = torch.Generator().manual_seed(0), torch.zeros(2, 1, 1, dtype=torch.float64)
    many = draw_directions(torch.zeros(3, 4, 4, dtype=torch.float64), 8, draws).flatten(1)
    torch.testing.assert_close(many @ many.T, torch.eye(8, dtype=torch.float64))
    radii = torch.stack([draw_in_ball(image, draws).norm() for _ in range(2000)])
    assert radii.max() <= 1
    assert (radii < 0.5).double().mean().item() == pytest.approx(0.25, abs=0.04)  # area of half the disc's radius


def test_weights_fall_with_depth_and_sum_to_one() -> None:
    torch.testing.assert_close(depth_weights(3, like=torch.zeros(1)), torch.tensor([3.0, 2.0, 1.0]) / 6)


@pytest.mark.parametrize("network", [ConvNet(widths=(2, 3)), ResNet15(widths=(2, 2, 4, 4))], ids=["convnet", "resnet"])
def test_a_layer_is_a_module_with_parameters_and_none_is_lost(network: ConvNet | ResNet15) -> None:
    leaked = batch(network.build((3, 8, 8), 4, seed=0), images=1, shape=(3, 8, 8))
    places = [place for owner in layers(leaked.module) for place in owner]
    assert places == list(range(len(list(leaked.module.parameters()))))
    buffers = {name: b.clone() for name, b in leaked.module.named_buffers()}
    value = Igsa(samples=2, projections=2).evaluate(leaked, generator=torch.Generator().manual_seed(0))
    assert value.isfinite().all()
    assert all(torch.equal(b, buffers[name]) for name, b in leaked.module.named_buffers())
