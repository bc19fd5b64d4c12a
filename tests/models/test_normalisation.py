"""What normalisation layers see, against means and variances by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.normalisation import batch_statistics, mean_and_variance, recorded_inputs


def network() -> nn.Sequential:
    """The first layer sees the images, the second their normalised values plus one."""
    second = nn.BatchNorm2d(2)
    first = nn.BatchNorm2d(2)
    with torch.no_grad():
        first.bias.fill_(1.0)
    return nn.Sequential(first, nn.Sequential(second), nn.Flatten())


IMAGES = torch.tensor([[[[0.0, 2.0]], [[10.0, 10.0]]], [[[4.0, 6.0]], [[10.0, 30.0]]]])
"""Two images of two channels and two pixels: 0, 2, 4, 6 and 10, 10, 10, 30."""


def test_mean_and_variance_of_each_channel() -> None:
    """The variance divides by all four values."""
    mean, variance = mean_and_variance(IMAGES)
    assert (mean.tolist(), variance.tolist()) == ([3.0, 15.0], [5.0, 75.0])


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 4, 5)])
def test_of_inputs_with_any_number_of_places(shape: tuple[int, ...]) -> None:
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    mean, variance = mean_and_variance(inputs)
    flat = inputs.movedim(1, 0).flatten(1)
    torch.testing.assert_close(mean, flat.mean(dim=1))
    torch.testing.assert_close(variance, flat.var(dim=1, correction=0))


def test_inputs_are_recorded_by_layer_only_inside_the_block() -> None:
    model = network().eval()
    with recorded_inputs(model) as seen:
        model(IMAGES)
    assert list(seen) == ["0", "1.0"]
    assert torch.equal(seen["0"], IMAGES)
    torch.testing.assert_close(seen["1.0"], IMAGES / (1 + 1e-5) ** 0.5 + 1)
    model(IMAGES + 1)
    assert torch.equal(seen["0"], IMAGES)


def test_hooks_go_even_after_an_error() -> None:
    model = network()
    with pytest.raises(ValueError, match="no"), recorded_inputs(model):
        raise ValueError("no")
    assert not any(layer._forward_pre_hooks for layer in model.modules())


def test_statistics_in_training_mode() -> None:
    """The first layer hands on mean 1 and variance 1 (but for its epsilon)."""
    found = batch_statistics(network().train(), IMAGES)
    assert list(found) == ["0.mean", "0.var", "1.0.mean", "1.0.var"]
    assert (found["0.mean"].tolist(), found["0.var"].tolist()) == ([3.0, 15.0], [5.0, 75.0])
    torch.testing.assert_close(found["1.0.mean"], torch.ones(2))
    torch.testing.assert_close(found["1.0.var"], torch.ones(2), rtol=1e-4, atol=0)


def test_the_module_is_left_as_it_was() -> None:
    model = network().train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found = batch_statistics(model, IMAGES.clone().requires_grad_())
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert model.training
    assert not any(tensor.requires_grad for tensor in found.values())


def test_without_such_layers_there_is_nothing_to_tell() -> None:
    assert batch_statistics(nn.Sequential(nn.Flatten(), nn.GroupNorm(2, 4)), IMAGES) == {}
