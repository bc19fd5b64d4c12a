from __future__ import annotations

import pytest
import torch

from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.server.crafting.base import UnfitCraftingError
from fedleak.server.crafting.class_fishing import ClassFishingCrafting
from tests.server.crafting.knowledge import known, smooth

SHAPE, TARGET = (1, 8, 8), 3


def test_below_the_last_layer_only_the_target_class_has_a_gradient() -> None:
    model = LeNet(channels=3).build(SHAPE, 10, seed=0)
    sent = ClassFishingCrafting(target=TARGET).craft(
        model, known(), client=0, round_number=1, generator=torch.Generator()
    )
    assert sent is not None
    weight, bias = model[-1].weight.detach().clone(), model[-1].bias.detach().clone()  # type: ignore[index]
    model.load_state_dict(dict(sent))
    assert torch.equal(sent["7.weight"][TARGET], weight[TARGET])
    assert torch.equal(sent["7.bias"][TARGET], bias[TARGET])
    images, labels = smooth(6, SHAPE, seed=2)[None], torch.tensor([[0, 1, 3, 5, 9, 2]])
    training = LocalTraining("fedsgd", 6, 1, 0.1, train_mode=False)
    batch = compute_updates(model, images, labels, training, seed=0).tensors
    alone = compute_updates(model, images[:, 2:3], labels[:, 2:3], training, seed=0).tensors
    for name, tensor in alone.items():
        if not name.startswith("7."):
            torch.testing.assert_close(6 * batch[name], tensor, atol=1e-7, rtol=1e-4)
    assert float(6 * batch["7.bias"][0, TARGET]) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("model", "target", "reason"),
    [
        (Mlp(), 10, "classes 0 to 9"),
        (Mlp(bias=False), 0, "ends with Linear without bias"),
    ],
)
def test_what_cannot_be_crafted_is_refused(model: Mlp, target: int, reason: str) -> None:
    with pytest.raises(UnfitCraftingError, match=reason):
        ClassFishingCrafting(target=target).craft(
            model.build(SHAPE, 10, seed=0), known(), client=0, round_number=1, generator=torch.Generator()
        )
