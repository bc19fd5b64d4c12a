from __future__ import annotations

import pytest
import torch

from fedleak.client.augment.base import Batch
from fedleak.client.augment.instahide import InstaHide
from tests.client.augment.batches import batch, generator


def test_without_flips_each_image_is_a_bounded_blend_with_its_own() -> None:
    """Images that are one-hot themselves show the coefficients."""
    count = 8
    own = Batch(torch.eye(count).reshape(count, 1, 1, count), torch.eye(count))
    mixed = InstaHide(images=3, flip=False).apply(own, batch(0), generator=generator())
    torch.testing.assert_close(mixed.images.reshape(count, count), mixed.targets)
    torch.testing.assert_close(mixed.targets.sum(dim=1), torch.ones(count))
    assert ((mixed.targets > 0).sum(dim=1) <= 3).all()
    assert (mixed.targets.diagonal() > 0).all()


def test_flips_mirror_half_of_the_pixels_about_the_middle() -> None:
    own = batch(200)
    plain, flipped = (
        InstaHide(flip=flip).apply(own, batch(0), generator=generator(5)).images for flip in (False, True)
    )
    torch.testing.assert_close((flipped - 0.5).abs(), (plain - 0.5).abs())
    assert float(((flipped - plain).abs() > 1e-6).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_public_partners_leave_the_labels_alone() -> None:
    own, public = batch(3), Batch(torch.ones(4, 1, 4, 4), torch.eye(5)[:4])
    mixed = InstaHide(images=2, partners="public", flip=False).apply(own, public, generator=generator())
    assert torch.equal(mixed.targets, own.targets)
    share = ((1 - mixed.images) / (1 - own.images)).flatten(1)  # x -> c x + (1 - c) 1
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=1e-3, atol=1e-3)
    assert ((share > 0.34) & (share < 0.66)).all(), "neither coefficient is above its bound"
