from __future__ import annotations

import torch

from fedleak.attacks.labels.calibrated_counts import CalibratedCounts
from fedleak.attacks.labels.calibrated_counts_public import CalibratedCountsPublic, first_of_each
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from tests.attacks.labels.recovery import Setting, share_recovered


def test_untrained_networks_give_away_every_label() -> None:
    assert share_recovered(CalibratedCountsPublic(), Setting(LeNet()), batch=16) >= 0.99


def test_on_a_trained_network_public_images_are_better_than_noise() -> None:
    setting = Setting(ConvNet(widths=(8, 8)), trained=True)
    noise, public = (
        share_recovered(kind, setting, batch=16) for kind in (CalibratedCounts(), CalibratedCountsPublic())
    )
    assert public > noise
    assert public >= 0.85


def test_the_first_images_of_each_class() -> None:
    assert first_of_each(torch.tensor([1, 0, 1, 1, 0, 2]), 2).tolist() == [0, 1, 2, 4, 5]
