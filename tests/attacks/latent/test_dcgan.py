from __future__ import annotations

import math

import pytest
import torch

from fedleak.attacks.latent.dcgan import DcganGenerator, DcganTraining, Discriminator
from fedleak.attacks.latent.network import GeneratorSize
from fedleak.errors import AttackFailedError
from fedleak.progress import QuietProgress
from tests.builders import digits

SIZE = GeneratorSize(8, 8, (1, 8, 8))


def trained(
    images: torch.Tensor, *, seed: int = 0, **settings: float
) -> tuple[torch.nn.Module, dict[str, list[float]]]:
    chosen = DcganTraining.model_validate({"kind": "dcgan", "epochs": 60, "learning_rate": 1e-3} | settings)
    return chosen.train(
        images,
        SIZE,
        generator=torch.Generator().manual_seed(seed),
        progress=QuietProgress(),
        name="test",
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 20, 36)])
def test_any_shape_of_image_comes_out_in_range(shape: tuple[int, int, int]) -> None:
    images = DcganGenerator(6, 4, shape)(5 * torch.randn(3, 6))
    assert images.shape == (3, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert Discriminator(4, shape)(images).shape == (3,)


def test_images_that_cannot_be_halved_three_times_are_refused() -> None:
    with pytest.raises(AttackFailedError, match="at least 8 pixels a side"):
        Discriminator(4, (1, 7, 8))


def test_both_networks_learn_and_the_images_look_like_digits_and_differ() -> None:
    """Distances from generated images to the nearest of those it was not trained on, and among themselves."""
    data = torch.from_numpy(digits().train.images)
    others = (data[600:900].float() / 255).flatten(1)
    code = torch.randn(100, 8, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(3)
    before = DcganTraining(kind="dcgan").network(SIZE).eval()(code).detach().flatten(1)
    network, curves = trained(data[:600])
    after = network.eval()(code).detach().flatten(1)
    nearest = [torch.cdist(images, others).min(dim=1).values.mean() for images in (before, after)]
    assert float(nearest[1]) < 0.7 * float(nearest[0])
    variety = [torch.cdist(images, images).mean() for images in (after, others[:100])]
    assert float(variety[0]) > 0.5 * float(variety[1]), "not one image for every code"
    chance = 2 * math.log(2)
    assert min(curves["discriminator"]) < chance, "the discriminator told them apart at some time"
    assert all(map(math.isfinite, curves["generator"]))


def test_training_is_reproducible() -> None:
    data = torch.from_numpy(digits().train.images)[:65]  # a rest of one image is left out
    first, second, other = (trained(data, seed=seed, epochs=2)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["maps.0.weight"], other["maps.0.weight"])


def test_training_that_cannot_work_says_so() -> None:
    data = torch.from_numpy(digits().train.images)
    with pytest.raises(AttackFailedError, match="at least two public images"):
        trained(data[:1])
    with pytest.raises(AttackFailedError, match="diverged"):
        trained(data[:64], learning_rate=1e20, epochs=5)
