from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.theory.base import NotApplicableError
from fedleak.metrics.theory.same_gradient import SameGradient, rms_distance, shortest_way
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from tests.builders import digits
from tests.metrics.theory.test_local_drift import training

SMALL = Mlp(hidden=(2,), activation="sigmoid").build((1, 8, 8), 10, seed=0)  # 160 parameters


def batch(images: int) -> LeakedBatch:
    data = digits().train
    pixels = torch.from_numpy(data.images[:images]).float() / 255
    return LeakedBatch(SMALL, pixels, torch.from_numpy(data.labels[:images]), mean=(0.5,), std=(0.5,))


def gradient(leaked: LeakedBatch, images: torch.Tensor) -> torch.Tensor:
    loss = F.cross_entropy(SMALL(leaked.normalised(images)), leaked.labels)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(SMALL.parameters()))])


def test_with_more_pixels_than_parameters_another_batch_has_the_same_gradient() -> None:
    """4 x 64 = 256 > 160; that the gradients are equal is verified by other means, in single precision."""
    leaked = batch(4)
    found, gap = SameGradient().search(leaked, torch.Generator().manual_seed(0))
    assert gap < 1e-9
    assert (found - leaked.images).square().mean().sqrt() > 0.05
    true = gradient(leaked, leaked.images)
    assert (gradient(leaked, found.float()) - true).norm() < 1e-4 * true.norm()
    told = SameGradient().predict(leaked, training(1), generator=torch.Generator().manual_seed(0))
    assert told.metrics["second_batch"] == 1
    assert told.metrics["outside"] > 0
    assert torch.equal(told.images, found.clamp(0, 1).float())


def test_a_second_batch_of_images_alone() -> None:
    leaked = batch(4)
    found, gap = SameGradient(bounded=True).search(leaked, torch.Generator().manual_seed(0))
    assert gap < 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found - leaked.images).square().mean().sqrt() > 0.05
    true = gradient(leaked, leaked.images)
    assert (gradient(leaked, found.float()) - true).norm() < 1e-5 * true.norm()


@pytest.mark.parametrize("images", [1, 2])
def test_with_fewer_pixels_the_search_ends_at_the_truth(images: int) -> None:
    leaked = batch(images)
    found = SameGradient().predict(leaked, training(1), generator=torch.Generator().manual_seed(0))
    assert found.metrics["second_batch"] == 0
    torch.testing.assert_close(found.images, leaked.images, rtol=0, atol=1e-4)


def test_a_search_that_ends_nowhere_starts_again() -> None:
    """Two steps are too few from any start: as many starts as are allowed, and the nearest end of them all."""
    leaked, few = batch(4), SameGradient(steps=2, starts=3)
    generator = torch.Generator().manual_seed(0)
    gaps = [few.search(leaked, generator)[1] for _ in range(3)]
    told = few.predict(leaked, training(1), generator=torch.Generator().manual_seed(0))
    assert told.metrics["second_batch"] == 0
    assert told.metrics["update_gap"] == min(gaps)
    assert len(set(gaps)) == 3


def test_the_same_images_in_another_order_are_no_second_batch() -> None:
    images = batch(3).images
    assert rms_distance(images[[2, 0, 1]], images) == 0


def test_the_shortest_way_ends_at_the_nearest_root() -> None:
    """On a plane in three dimensions: the foot of the perpendicular."""
    normal = np.array([[1.0, 2.0, 2.0]])
    end = shortest_way(lambda x: normal @ x - 9.0, lambda _: normal, np.zeros(3), steps=200)
    np.testing.assert_allclose(end, [1.0, 2.0, 2.0], atol=1e-9)


def test_where_there_is_no_root_it_stops() -> None:
    end = shortest_way(lambda x: x**2 + 1, lambda x: np.diag(2 * x), np.array([0.5]), steps=50)
    assert np.isfinite(end).all()


def test_large_models_are_refused() -> None:
    large = LeakedBatch(LeNet().build((1, 8, 8), 10, seed=0), *digits_one(), mean=(0.5,), std=(0.5,))
    with pytest.raises(NotApplicableError, match="Jacobian"):
        SameGradient().predict(large, training(1), generator=torch.Generator())


def digits_one() -> tuple[torch.Tensor, torch.Tensor]:
    leaked = batch(1)
    return leaked.images, leaked.labels
