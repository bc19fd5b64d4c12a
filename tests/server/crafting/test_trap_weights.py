from __future__ import annotations

import pytest
import torch

from fedleak.examples import to_unit
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.server.crafting.base import UnfitCraftingError
from fedleak.server.crafting.trap_weights import TrapWeightCrafting, trap_rows
from tests.server.crafting.knowledge import known, smooth

SHAPE = (1, 8, 8)


def test_rows_by_hand() -> None:
    negative, places = torch.tensor([[-1.0, -2.0]]), torch.tensor([[3, 0, 1, 4, 2]])
    assert trap_rows(negative, places, 0.5).tolist() == [[-2.0, 0.5, 0.0, -1.0, 1.0]]


def test_neurons_see_pixels_and_few_images_activate_them() -> None:
    model, told = Mlp(hidden=(200,)).build(SHAPE, 10, seed=0), known(std=0.25)
    sent = TrapWeightCrafting(activation_rate=0.05).craft(
        model, told, client=0, round_number=1, generator=torch.Generator()
    )
    assert sent is not None
    assert {name for name in sent if not torch.equal(sent[name], model.state_dict()[name])} == {"1.weight", "1.bias"}
    weight, bias = sent["1.weight"], sent["1.bias"]
    assert ((weight > 0).sum(dim=1) == 32).all()
    assert (weight.sum(dim=1) < 0).all()
    pixels = to_unit(told.images).flatten(1)
    torch.testing.assert_close(told.inputs.flatten(1) @ weight.T + bias, pixels @ (weight / 0.25).T, atol=1e-4, rtol=0)
    assert float((told.inputs.flatten(1) @ weight.T + bias > 0).float().mean()) == pytest.approx(0.05, abs=0.005)
    fresh = told.normalisation.apply(smooth(400, SHAPE, seed=5)).flatten(1)
    assert float((fresh @ weight.T + bias > 0).float().mean()) == pytest.approx(0.05, abs=0.02)


def test_a_given_scale_needs_no_public_images() -> None:
    model = Mlp(hidden=(8,)).build(SHAPE, 10, seed=0)
    sent = TrapWeightCrafting(scale=0.9).craft(
        model, known(images=0), client=0, round_number=1, generator=torch.Generator()
    )
    assert sent is not None
    rows = sent["1.weight"]
    torch.testing.assert_close(rows.clamp(min=0).sum(dim=1), -0.9 * rows.clamp(max=0).sum(dim=1))


def test_other_networks_and_no_images_are_refused() -> None:
    with pytest.raises(UnfitCraftingError, match="begins with Conv2d"):
        TrapWeightCrafting().craft(
            LeNet().build(SHAPE, 10, seed=0), known(), client=0, round_number=1, generator=torch.Generator()
        )
    with pytest.raises(UnfitCraftingError, match="public images, or scale; there are 0"):
        TrapWeightCrafting().craft(
            Mlp().build(SHAPE, 10, seed=0), known(images=0), client=0, round_number=1, generator=torch.Generator()
        )
