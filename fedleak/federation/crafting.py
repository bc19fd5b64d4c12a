"""What a malicious server knows, and the trial of its crafting on the first model."""

from __future__ import annotations

import torch

from fedleak import seeds
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.errors import InputError
from fedleak.federation.model import initial_model
from fedleak.scenario.schema import Scenario
from fedleak.server.crafting.base import CraftingKnowledge, UnfitCraftingError


def crafting_knowledge(splits: DatasetSplits, public: LabelledImages) -> CraftingKnowledge:
    """The constants of the data set and the adversary's own images; nothing private."""
    return CraftingKnowledge(
        input_shape=splits.input_shape,
        classes=len(splits.class_names),
        normalisation=splits.normalisation,
        images=torch.from_numpy(public.images),
        labels=torch.from_numpy(public.labels),
    )


def check_crafted_model(scenario: Scenario, splits: DatasetSplits, public: LabelledImages, *, nonce: str) -> None:
    """Craft the first model once, as for client 0 in round 1.

    Raises:
        InputError: if the model cannot be crafted.
    """
    crafting = scenario.adversary.crafting
    if crafting is None:
        return
    try:
        crafting.craft(
            initial_model(scenario, splits),
            crafting_knowledge(splits, public),
            client=0,
            round_number=1,
            generator=seeds.torch_generator(nonce, "crafting", 1, 0),
        )
    except UnfitCraftingError as error:
        raise InputError("adversary.crafting", crafting.kind, str(error)) from error
