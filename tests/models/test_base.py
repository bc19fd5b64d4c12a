from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.base import ACTIVATIONS, Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp


@pytest.mark.parametrize("model", [Mlp(), LeNet(), ConvNet(widths=(4,))])
def test_different_seeds_give_different_weights(model: Model) -> None:
    first, second = (next(model.build((1, 8, 8), 10, seed=seed).parameters()) for seed in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
@pytest.mark.parametrize("kind", [Mlp, LeNet, ConvNet])
def test_the_chosen_activation_is_the_only_one(kind: type[Mlp | LeNet | ConvNet], name: str) -> None:
    network = kind.model_validate({"activation": name}).build((1, 8, 8), 10, seed=0)
    used = {type(module) for module in network.modules()} & set(ACTIVATIONS.values())
    assert used == {ACTIVATIONS[name]}


def test_weights_follow_torchs_default_initialisation() -> None:
    torch.manual_seed(5)
    expected = nn.Linear(4, 3)
    network = Mlp(hidden=()).build((1, 2, 2), 3, seed=5)
    assert torch.equal(network[1].weight, expected.weight)  # type: ignore[index]
