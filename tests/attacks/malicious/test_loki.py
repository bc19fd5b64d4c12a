from __future__ import annotations

import torch

from fedleak.attacks.malicious.imprint import ImprintReader
from fedleak.attacks.malicious.loki import LokiReader, bin_middles
from fedleak.client.local_training import LocalTraining
from fedleak.models.lenet import LeNet
from fedleak.server.crafting.loki import LokiCrafting
from tests.attacks.malicious.crafted import PIXELS, SHAPE, attacked, distances
from tests.server.crafting.knowledge import smooth

LABELS = (0, 1, 2, 3)


def test_the_images_of_three_clients_come_out_of_their_sum() -> None:
    images = smooth(12, SHAPE, seed=7)
    found = attacked(LokiCrafting(bins=200), LeNet(channels=3), images.split(4), LABELS)
    read = LokiReader().reconstruct(
        found.update, found.architecture, PIXELS, found.tampering, generator=torch.Generator()
    )
    assert read.images.shape == (12, *SHAPE)
    near = distances(read.images, images)
    assert int((near < 0.01).sum()) >= 9  # 40 dB; bins are as wide as a few thousandths of the brightness
    assert ImprintReader.reads != LokiReader.reads


def test_separate_bins_survive_local_steps() -> None:
    training = LocalTraining("fedavg", 1, 2, 0.1, train_mode=False)  # eight steps
    images = smooth(8, SHAPE, seed=7)
    crafting = LokiCrafting(bins=50, activation="hard_tanh", amplitude=5)
    model = LeNet(channels=3, activation="relu")
    found = attacked(crafting, model, images.split(4), LABELS, training=training)
    read = LokiReader().reconstruct(
        found.update, found.architecture, PIXELS, found.tampering, generator=torch.Generator()
    )
    assert int((distances(read.images, images) < 0.02).sum()) >= 4  # of cumulative bins, none


def test_middles_of_bins_by_hand() -> None:
    cuts = torch.tensor([-1.0, 0.2, 0.4, 0.8])
    middles = bin_middles(torch.full((4, 2), 0.5), -cuts)
    torch.testing.assert_close(middles, torch.tensor([0.1, 0.3, 0.6, 1.0]))
    assert bin_middles(torch.full((2, 2), 0.5), torch.tensor([1.0, -0.2])).tolist() == torch.tensor([0.2, 0.2]).tolist()
