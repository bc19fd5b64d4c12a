from __future__ import annotations

import pytest
import torch

from fedleak.models.imprinted import Imprinted, ImprintedNetwork
from fedleak.models.lenet import LeNet
from fedleak.server.crafting.base import UnfitCraftingError
from fedleak.server.crafting.loki import LokiCrafting
from tests.server.crafting.knowledge import known, smooth

SHAPE, CLIENTS = (2, 8, 8), 3


def test_every_client_has_the_pixels_in_its_own_copy_and_zero_in_the_others() -> None:
    crafting, told = LokiCrafting(bins=8), known(shape=SHAPE, std=0.25)
    declared = crafting.declare(LeNet(channels=2), clients=CLIENTS)
    assert declared == Imprinted(inner=LeNet(channels=2), bins=8, groups=CLIENTS)
    pixels = smooth(5, SHAPE, seed=1)
    for client in range(CLIENTS):
        model = declared.build(SHAPE, 10, seed=0)
        assert isinstance(model, ImprintedNetwork)
        sent = crafting.craft(model, told, client=client, round_number=1, generator=torch.Generator())
        assert sent is not None
        model.load_state_dict(dict(sent))
        copies = model.imprint.copies(told.normalisation.apply(pixels)).reshape(5, CLIENTS, *SHAPE)
        torch.testing.assert_close(copies[:, client], pixels)
        assert not copies[:, [c for c in range(CLIENTS) if c != client]].any()
        units = model.imprint.measure(copies.flatten(1))
        cuts = -sent["imprint.measure.bias"] / sent["imprint.measure.weight"][:, :128].sum(dim=1)
        active = pixels.flatten(1).mean(dim=1, keepdim=True) > cuts
        assert torch.equal(units > 0, active)


def test_it_measures_brightness_only_and_needs_copies() -> None:
    with pytest.raises(ValueError, match="Input should be 'mean'"):
        LokiCrafting.model_validate({"functional": "random"})
    with pytest.raises(UnfitCraftingError, match="module with copies"):
        LokiCrafting().craft(
            Imprinted().build(SHAPE, 10, seed=0),
            known(shape=SHAPE),
            client=0,
            round_number=1,
            generator=torch.Generator(),
        )
