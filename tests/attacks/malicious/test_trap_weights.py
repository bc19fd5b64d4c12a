from __future__ import annotations

import pytest
import torch

from fedleak.attacks.malicious.trap_weights import TrapWeightReader, off_grid, repeated_first
from fedleak.errors import AttackFailedError
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.server.crafting.trap_weights import TrapWeightCrafting
from fedleak.threat import ModelArchitecture
from tests.attacks.malicious.crafted import CLASSES, PIXELS, SHAPE, attacked, distances
from tests.server.crafting.knowledge import smooth

LABELS = (0, 1, 2, 3, 4, 5, 6, 7)


def test_images_that_alone_activate_a_neuron_are_exact() -> None:
    images = (255 * smooth(8, SHAPE, seed=7)).round() / 255
    found = attacked(TrapWeightCrafting(activation_rate=0.1), Mlp(hidden=(150,)), [images], LABELS)
    sent = found.tampering.sent[0]
    active = (2 * images - 1).flatten(1) @ sent["1.weight"].T + sent["1.bias"] > 0
    single = active[:, active.sum(dim=0) == 1].any(dim=1)
    read = TrapWeightReader().reconstruct(
        found.update, found.architecture, PIXELS, found.tampering, generator=torch.Generator()
    )
    assert read.images.shape == (8, *SHAPE)
    assert int(single.sum()) >= 4
    assert (distances(read.images, images)[single] < 1e-3).all()


def test_what_several_neurons_give_comes_first() -> None:
    a, b, c = torch.zeros(4), torch.ones(4), torch.full((4,), 0.6)  # 0, 255 and 153 of 255
    assert repeated_first(torch.stack([a, b, c, b + 1e-5, c, c]), 1e-3).tolist() == [2, 1, 0]


def test_pixels_between_the_steps_of_eight_bits_are_a_mixture() -> None:
    image, mixture = torch.full((4,), 3 / 255), torch.full((4,), 3.5 / 255)
    torch.testing.assert_close(off_grid(torch.stack([image, mixture])), torch.tensor([0.0, 0.5]), atol=1e-5, rtol=0)
    assert repeated_first(torch.stack([mixture, mixture, image]), 1e-4).tolist() == [2, 0]


def test_another_network_is_refused() -> None:
    found = attacked(TrapWeightCrafting(), Mlp(hidden=(20,)), [smooth(2, SHAPE, seed=0)], (0, 1))
    other = ModelArchitecture(LeNet().factory(SHAPE, CLASSES), SHAPE, CLASSES)
    with pytest.raises(AttackFailedError, match="begins with Conv2d"):
        TrapWeightReader().reconstruct(found.update, other, PIXELS, found.tampering, generator=torch.Generator())
