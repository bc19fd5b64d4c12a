from __future__ import annotations

import torch
from torch import nn

from fedleak.metrics.analysis.base import LeakedBatch, differentiable


def test_images_are_normalised_as_for_the_network_and_back() -> None:
    images = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    batch = LeakedBatch(nn.Flatten(), images, torch.zeros(2), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    expected = (images - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([0.5, 1.0, 2.0])[:, None, None]
    torch.testing.assert_close(batch.normalised(images), expected)
    torch.testing.assert_close(batch.pixels(expected), images)


def test_parameters_are_differentiable_inside_only() -> None:
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    with differentiable(network) as parameters:
        assert all(parameter.requires_grad for parameter in parameters)
    assert network.weight.requires_grad
    assert not network.bias.requires_grad
