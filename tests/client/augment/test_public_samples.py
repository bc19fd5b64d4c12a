from __future__ import annotations

import pytest
import torch

from fedleak.client.augment.public_samples import PublicSamples
from tests.client.augment.batches import batch, generator


@pytest.mark.parametrize("count", [1, 4, 11])
def test_public_images_follow_the_clients_own_with_their_labels(count: int) -> None:
    own, public = batch(2), batch(4, seed=1)
    result = PublicSamples(count=count).apply(own, public, generator=generator())
    assert torch.equal(result.images[:2], own.images)
    assert len(result) == 2 + count
    places = [next(i for i in range(4) if torch.equal(image, public.images[i])) for image in result.images[2:]]
    assert len(set(places)) == min(count, 4)
    assert torch.equal(result.targets[2:], public.targets[places])


def test_without_public_images_it_says_so() -> None:
    with pytest.raises(ValueError, match="no public images"):
        PublicSamples(count=1).apply(batch(2), batch(0), generator=generator())
