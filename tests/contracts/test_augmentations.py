"""Every augmentation is a pure function of the batch, the public images and the generator."""

from __future__ import annotations

import pytest
import torch

from fedleak.client.augment.base import Augmentation, Batch
from fedleak.families import kinds
from tests.builders import with_required
from tests.client.augment.batches import batch, generator

KINDS = list(kinds("augment"))


def applied(kind: str, own: Batch, *, seed: int = 0) -> Batch:
    cls = kinds("augment")[kind]
    assert issubclass(cls, Augmentation)
    return with_required(cls).apply(own, batch(6, seed=9), generator=generator(seed))


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_images_stay_in_range_and_targets_are_probabilities(kind: str, count: int) -> None:
    own = batch(count)
    kept = (own.images.clone(), own.targets.clone())
    result = applied(kind, own)
    assert len(result.images) == len(result.targets) >= count
    assert result.images.dtype == result.targets.dtype == torch.float32
    assert result.images.shape[1:] == own.images.shape[1:]
    assert ((result.images >= 0) & (result.images <= 1)).all()
    torch.testing.assert_close(result.targets.sum(dim=1), torch.ones(len(result)))
    assert torch.equal(own.images, kept[0])
    assert torch.equal(own.targets, kept[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind: str) -> None:
    first, again, other = (applied(kind, batch(5), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
