from __future__ import annotations

import torch

from fedleak.client.augment.mixup import Mixup
from tests.client.augment.batches import batch, generator


def test_against_the_definition() -> None:
    own, draws = batch(6), generator(3)
    mixed = Mixup(alpha=0.4).apply(own, batch(0), generator=generator(3))
    share, order = draws.beta(0.4, 0.4), draws.permutation(6)
    for i, j in enumerate(order):
        torch.testing.assert_close(mixed.images[i], share * own.images[i] + (1 - share) * own.images[j])
        torch.testing.assert_close(mixed.targets[i], share * own.targets[i] + (1 - share) * own.targets[j])


def test_a_single_image_has_no_partner() -> None:
    own = batch(1)
    torch.testing.assert_close(Mixup().apply(own, batch(0), generator=generator()).images, own.images)
