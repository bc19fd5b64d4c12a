from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn

from fedleak.server.crafting.base import Crafting, CraftingKnowledge, UnfitCraftingError
from fedleak.tensors import NamedTensors
from tests.server.crafting.knowledge import known


class Doubling(Crafting):
    """Doubles all weights for one client."""

    kind: Literal["doubling"] = "doubling"
    client: int

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        return {name: 2 * t for name, t in model.state_dict().items()} if client == self.client else None


def test_a_crafting_says_what_each_client_is_sent() -> None:
    model, generator = nn.Linear(2, 1), torch.Generator()
    crafting = Doubling(client=1)
    assert crafting.craft(model, known(), client=0, round_number=1, generator=generator) is None
    sent = crafting.craft(model, known(), client=1, round_number=1, generator=generator)
    assert sent is not None
    torch.testing.assert_close(sent["weight"], 2 * model.weight.detach())


def test_it_is_a_component_with_settings_of_its_own() -> None:
    assert Doubling.kind_name() == "doubling"
    assert Doubling.model_validate({"kind": "doubling", "client": 3}).client == 3
    with pytest.raises(TypeError, match="abstract"):
        Crafting()  # type: ignore[abstract]


def test_it_targets_the_clients_and_rounds_that_it_lists() -> None:
    everyone, some = Doubling(client=1), Doubling(client=1, clients=(1, 3), rounds=(2,))
    assert everyone.targets(0, 1)
    assert [(c, r) for c in range(4) for r in (1, 2) if some.targets(c, r)] == [(1, 2), (3, 2)]


def test_without_public_images_there_are_no_inputs() -> None:
    with pytest.raises(UnfitCraftingError, match=r"there are 0 \(adversary.public_images\)"):
        _ = known(images=0).inputs
