from __future__ import annotations

import math

import pytest
import torch

from fedleak.attacks.latent.network import ImageEncoder, ImageGenerator
from fedleak.attacks.latent.training import GeneratorTraining, evidence_bound, train_image_generator
from fedleak.errors import AttackFailedError
from fedleak.progress import QuietProgress
from tests.builders import digits


def test_the_bound_by_hand() -> None:
    """Two pixels, each off by 0.1; one latent number of mean 1 and variance e."""
    images, rebuilt = torch.tensor([[[[0.5, 0.5]]]]), torch.tensor([[[[0.4, 0.6]]]])
    bound = evidence_bound(images, rebuilt, torch.tensor([[1.0]]), torch.tensor([[1.0]]))
    assert float(bound) == pytest.approx(0.5 * 2 * math.log(0.01) + 0.5 * (1 + math.e - 1 - 1), rel=1e-5)


def trained(images: torch.Tensor, *, seed: int = 0, **settings: float) -> tuple[ImageGenerator, list[float]]:
    torch.manual_seed(3)
    network, encoder = ImageGenerator(8, 8, (1, 8, 8)), ImageEncoder(8, 8, (1, 8, 8))
    curve = train_image_generator(
        network,
        encoder,
        images,
        GeneratorTraining.model_validate({"epochs": 6, "batch_size": 32} | settings),
        generator=torch.Generator().manual_seed(seed),
        progress=QuietProgress(),
        name="test",
    )
    return network, curve


def test_random_latent_vectors_look_more_like_digits_than_before() -> None:
    """Mean distance from a generated image to the nearest of those it was not trained on."""
    data = torch.from_numpy(digits().train.images)
    others = (data[600:900].float() / 255).flatten(1)
    code = torch.randn(100, 8, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(3)
    before = ImageGenerator(8, 8, (1, 8, 8))
    after, curve = trained(data[:600])
    assert curve[-1] < curve[0]
    distances = [torch.cdist(net(code).detach().flatten(1), others).min(dim=1).values.mean() for net in (before, after)]
    assert float(distances[1]) < 0.7 * float(distances[0])


def test_training_is_reproducible() -> None:
    data = torch.from_numpy(digits().train.images)[:64]
    first, second, other = (trained(data, seed=seed, epochs=2)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["last.weight"], other["last.weight"])


def test_training_that_diverges_says_so() -> None:
    with pytest.raises(AttackFailedError, match="diverged"):
        trained(torch.from_numpy(digits().train.images)[:64], learning_rate=1e20)
