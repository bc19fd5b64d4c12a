from __future__ import annotations

import pytest
import torch

from fedleak.attacks.malicious.imprint import ImprintReader, without_higher_bins
from fedleak.client.local_training import LocalTraining
from fedleak.models.lenet import LeNet
from fedleak.server.crafting.imprint import ImprintCrafting
from tests.attacks.malicious.crafted import PIXELS, SHAPE, Attacked, attacked, distances
from tests.server.crafting.knowledge import smooth

MODEL = LeNet(channels=3)
LABELS = (0, 1, 2, 3, 4, 5, 6, 7)


def read(found: Attacked) -> torch.Tensor:
    return (
        ImprintReader()
        .reconstruct(found.update, found.architecture, PIXELS, found.tampering, generator=torch.Generator())
        .images
    )


def alone(crafting: ImprintCrafting, images: torch.Tensor) -> list[bool]:
    """Whether each image is the only one of its bin, by the cuts that were sent."""
    sent = attacked(crafting, MODEL, [images[:1]], (0,)).tampering.sent[0]
    weight, bias = sent["imprint.measure.weight"], sent["imprint.measure.bias"]
    bins = ((2 * images - 1).flatten(1) @ weight.T + bias > 0).sum(dim=1).tolist()
    return [bins.count(place) == 1 for place in bins]


@pytest.mark.parametrize("functional", ["mean", "random"])
@pytest.mark.parametrize("activation", ["relu", "hard_tanh"])
def test_images_alone_in_their_bins_are_exact(activation: str, functional: str) -> None:
    crafting = ImprintCrafting(bins=24, activation=activation, functional=functional)
    images = smooth(8, SHAPE, seed=7)
    found = read(attacked(crafting, MODEL, [images], LABELS))
    assert found.shape == (8, *SHAPE)
    near, single = distances(found, images), alone(crafting, images)
    assert sum(single) >= 3
    assert (near[torch.tensor(single)] < 1e-3).all()
    assert near.max() > 0.01 or all(single)


def test_rows_of_two_bins_by_hand() -> None:
    """Bin 0 holds image a alone, bin 1 image b: unit 0 is active for both, unit 1 for b."""
    a, b = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 7.0])
    assert torch.equal(without_higher_bins(torch.stack([a + b, b])), torch.stack([a, b]))


def test_the_same_model_for_all_clients_leaks_from_their_sum() -> None:
    images = smooth(16, SHAPE, seed=7)
    found = read(attacked(ImprintCrafting(bins=200), MODEL, [images[:8], images[8:]], LABELS))
    assert found.shape == (16, *SHAPE)
    assert int((distances(found, images) < 1e-3).sum()) >= 12


def test_one_local_step_leaks_like_a_gradient() -> None:
    training = LocalTraining("fedavg", 8, 1, 0.1, train_mode=False)
    images = smooth(8, SHAPE, seed=7)
    found = read(attacked(ImprintCrafting(bins=200), MODEL, [images], LABELS, training=training))
    assert int((distances(found, images) < 1e-2).sum()) >= 6
