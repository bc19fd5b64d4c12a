from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from fedleak.attacks.inversion.dropout import (
    MaskedDropout,
    mask_buffers,
    mask_shapes,
    masked_layers,
    random_masks,
    rate_distance,
    with_masks,
)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout2d(0.5), nn.Flatten(), nn.Dropout(0.25), nn.Linear(108, 2))


def test_a_mask_does_what_dropout_did() -> None:
    torch.manual_seed(0)
    module, images = network().train(), torch.randn(4, 1, 8, 8)
    seen: list[torch.Tensor] = []
    for layer in (module[1], module[3]):
        layer.register_forward_hook(lambda _, given, out: seen.append((out != 0) | (given[0] == 0)))
    expected = module(images)
    channels, units = seen[0][:, :, :1, :1].float(), seen[1].float()
    outputs = functional_call(with_masks(module), {"1.mask": channels, "3.mask": units}, (images,))
    assert torch.allclose(outputs, expected, atol=1e-6)


def test_only_layers_that_drop_units_are_replaced() -> None:
    module = with_masks(nn.Sequential(nn.Dropout(0.0), nn.Sequential(nn.Dropout(0.3)), nn.AlphaDropout(0.3)))
    assert [name for name, _ in masked_layers(module)] == ["1.0"]


def test_masks_have_the_shape_of_units_or_channels_and_the_rate_of_their_layer() -> None:
    module = with_masks(network())
    assert mask_shapes(module, (1, 8, 8)) == {"1": (3, 1, 1), "3": (108,)}
    generator = torch.Generator().manual_seed(0)
    masks = random_masks(module, (1, 8, 8), trials=2, samples=50, generator=generator)
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == {
        "mask.1": (2, 50, 3, 1, 1),
        "mask.3": (2, 50, 108),
    }
    assert float(masks["mask.3"].mean()) == pytest.approx(0.75, abs=0.02)
    assert set(mask_buffers(masks)) == {"1.mask", "3.mask"}


def test_the_distance_of_rates_is_summed_over_layers() -> None:
    module = with_masks(network())
    variables = {
        "code": torch.zeros(1),
        "mask.1": torch.tensor([1.0, 0.0, 0.0, 0.0]),
        "mask.3": torch.tensor([1.0, 1.0]),
    }
    assert float(rate_distance(module, variables)) == pytest.approx(abs(0.75 - 0.5) + abs(0.0 - 0.25))
    assert float(rate_distance(nn.Linear(2, 2), {"code": torch.zeros(1)})) == 0


def test_without_a_mask_units_are_only_scaled() -> None:
    assert torch.equal(MaskedDropout(0.5, whole_channels=False)(torch.ones(2, 3)), torch.full((2, 3), 2.0))
