from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.malicious.class_fishing import ClassFishingReader, FishingKnowledge, fished
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.server.crafting.class_fishing import ClassFishingCrafting
from fedleak.threat import SharedUpdate
from tests.attacks.malicious.crafted import PIXELS, SHAPE, attacked, distances
from tests.server.crafting.knowledge import smooth

LABELS = (0, 1, 2, 3, 4, 5, 0, 1)


def read(model: Model, target: int, *, iterations: int = 1, **changes: object) -> Reconstruction:
    found = attacked(ClassFishingCrafting(target=target), model, [smooth(8, SHAPE, seed=7)], LABELS)
    known = FishingKnowledge(
        update=replace(found.update, **changes),  # type: ignore[arg-type]
        architecture=found.architecture,
        model=found.model,
        pixels=PIXELS,
        tampering=found.tampering,
    )
    reader = ClassFishingReader(iterations=iterations, compile="never")
    return reader.reconstruct(known, generator=torch.Generator().manual_seed(0))


def test_behind_a_linear_layer_the_single_image_of_the_class_is_exact() -> None:
    found = read(Mlp(hidden=(20,)), 3)
    assert found.images.shape == (1, *SHAPE)
    assert found.labels is not None
    assert found.labels.tolist() == [3]
    assert float(distances(found.images, smooth(8, SHAPE, seed=7)[3:4])) < 1e-3


def test_behind_convolutions_it_is_searched() -> None:
    found = read(LeNet(channels=6), 3, iterations=400)
    assert float(distances(found.images, smooth(8, SHAPE, seed=7)[3:4])) < 0.03  # 30 dB


@pytest.mark.parametrize(
    ("target", "changes", "reason"),
    [
        (0, {}, "holds 2 images of class 0"),
        (9, {}, "holds 0 images of class 9"),
        (3, {"protocol": "fedavg"}, "only in a gradient"),
        (3, {"samples": None}, "known number of images"),
    ],
)
def test_what_is_no_single_image_fails_with_the_reason(target: int, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(AttackFailedError, match=reason):
        read(Mlp(hidden=(20,)), target, **changes)


def test_the_bias_gradient_counts_by_hand() -> None:
    update = SharedUpdate({"b": torch.tensor([0.1, -0.375])}, "fedsgd", 1, 0, 8)
    assert fished(update, "b", 1, 8) == 3
    with pytest.raises(AttackFailedError, match="frozen"):
        fished(update, "c", 1, 8)
