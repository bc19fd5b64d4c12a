from __future__ import annotations

import numpy as np
import pytest

from fedleak.attacks.analytic.patch_positions import PatchPositions
from fedleak.client.local_training import LocalTraining
from fedleak.errors import AttackFailedError
from fedleak.models.lenet import LeNet
from fedleak.models.vit import ViT
from tests.attacks.inversion.builders import victim

VIT = ViT(patch=2, width=32, mlp_width=8, blocks=2)


def training(protocol: str) -> LocalTraining:
    return LocalTraining(protocol, batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)


@pytest.mark.parametrize("first", range(4))
def test_one_image_is_exact(first: int) -> None:
    one = victim(VIT, first=first, training=training("fedsgd"), uniform=False)
    np.testing.assert_allclose(one.attacked_by(PatchPositions()).images, one.images, atol=1e-3)


def test_a_weight_delta_of_one_step_does_as_well() -> None:
    """It has lost digits to the weights that it was subtracted from."""
    one = victim(VIT, training=training("fedavg"), uniform=False)
    assert float((one.attacked_by(PatchPositions()).images - one.images).square().mean()) < 1e-3


def test_a_batch_gives_as_many_images() -> None:
    assert victim(VIT, count=3, uniform=False).attacked_by(PatchPositions()).images.shape == (3, 1, 8, 8)


def test_too_many_patches_are_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="16 patches need tokens of more than 8 values"):
        victim(ViT(patch=2, width=8, mlp_width=8, blocks=1)).attacked_by(PatchPositions())


def test_a_network_without_patches_is_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="does not start with a trained patch embedding"):
        victim(LeNet(channels=4)).attacked_by(PatchPositions())
