from __future__ import annotations

import torch

from fedleak.bench.igsa import SHAPE, forward_products, measure
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.analysis.igsa import draw_directions, jacobian_norms, layers
from fedleak.models.lenet import LeNet
from fedleak.progress import QuietProgress

SMALL = LeNet(channels=2).build(SHAPE, 10, seed=0)


def test_seconds_are_positive() -> None:
    measured = measure(QuietProgress(), model=SMALL, samples=2, projections=2)
    assert measured["samples"] == measured["projections"] == 2
    assert all(value > 0 for value in measured.values())


def test_both_ways_of_differentiation_agree() -> None:
    draws = torch.Generator().manual_seed(0)
    image, label = torch.rand(SHAPE, generator=draws), torch.tensor(3)
    batch = LeakedBatch(SMALL, image[None], label[None], mean=(0.5,) * 3, std=(0.25,) * 3)
    directions = draw_directions(image, 4, draws)
    sizes = forward_products(batch, image, label, directions).mean(dim=0) * image.numel()
    expected = torch.stack([sizes[list(places)].sum() for places in layers(SMALL)]).sqrt()
    torch.testing.assert_close(jacobian_norms(batch, image, label, directions), expected)
