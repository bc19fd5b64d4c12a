from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from fedleak import seeds
from fedleak.metrics.base import MetricUnavailableError, Peers
from fedleak.metrics.features import FeatureSettings, extractor
from fedleak.metrics.iip import Iip, same_image
from tests.builders import digits

RANDOM = FeatureSettings(kind="random")


def peers(count: int = 60) -> Peers:
    data = digits().train
    return Peers(torch.from_numpy(data.images[:count]).float() / 255, torch.from_numpy(data.labels[:count]))


@pytest.mark.parametrize("kind", ["random", "trained"])
def test_copies_are_identified_and_other_images_are_not(kind: str) -> None:
    everyone = peers()
    truth = everyone.images[:3]
    guesses = torch.stack([truth[0], everyone.images[40], (truth[2] + 0.02).clamp(0, 1)])
    metric = Iip(features=FeatureSettings.model_validate({"kind": kind, "steps": 20}))
    assert metric.evaluate_among(guesses, truth, everyone).tolist() == [1, 0, 1]


def test_nearest_neighbours_by_hand() -> None:
    """With the features of all images at hand: 1 where the original is the most similar of all."""
    everyone = peers(12)
    noise = torch.randn(everyone.images.shape, generator=torch.Generator().manual_seed(0))
    guesses = (everyone.images + 0.3 * noise).clamp(0, 1)
    features = extractor(RANDOM, everyone)
    expected = []
    for i, guess in enumerate(features(guesses)):
        similar = [float(torch.cosine_similarity(guess, other, dim=0)) for other in features(everyone.images)]
        expected.append(float(max(range(12), key=similar.__getitem__) == i))
    assert 0 < sum(expected) < 12
    assert Iip(features=RANDOM).evaluate_among(guesses, everyone.images, everyone).tolist() == expected


def test_an_original_among_its_peers_is_not_its_own_rival() -> None:
    everyone = peers(5)
    assert same_image(everyone.images[:2], everyone.images).tolist() == [
        [True, False, False, False, False],
        [False, True, False, False, False],
    ]


def test_more_peers_are_harder() -> None:
    everyone = peers(400)
    noise = torch.randn(everyone.images.shape, generator=torch.Generator().manual_seed(0))
    guesses = (everyone.images + 0.2 * noise).clamp(0, 1)[:40]
    few, many = (
        Iip(features=RANDOM, peers=n).evaluate_among(guesses, everyone.images[:40], everyone) for n in (5, 400)
    )
    assert few.mean() > many.mean()


def test_training_here_is_repeatable_and_leaves_the_global_stream() -> None:
    state = torch.get_rng_state()
    settings = FeatureSettings(steps=5)
    first, second = (extractor(settings, peers())(peers().images) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, extractor(RANDOM, peers())(peers().images))


def test_pretrained_features_come_from_a_file(tmp_path: Path) -> None:
    with seeds.global_torch_seed(1):
        network = resnet18(weights=None).eval()
    file = tmp_path / "net.pth"
    torch.save(network.state_dict(), file)
    settings = FeatureSettings(kind="pretrained", weights=str(file))
    features = extractor(settings, peers(2))(peers(2).images)
    assert features.shape == (2, 512)
    assert "net.pth" in settings.describe()


def test_missing_or_foreign_weights_make_it_absent(tmp_path: Path, alexnet_file: Path) -> None:
    for weights in (tmp_path / "none.pth", alexnet_file):
        with pytest.raises(MetricUnavailableError, match=r"metrics\.iip"):
            extractor(FeatureSettings(kind="pretrained", weights=str(weights)), peers(2))


def test_the_report_is_told_what_stands_in() -> None:
    assert "instead of a pretrained network" in Iip().note((1, 8, 8))
