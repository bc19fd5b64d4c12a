from __future__ import annotations

import pytest
import torch

from fedleak.attacks.latent.codes import SmallerImage
from fedleak.attacks.latent.restoration import (
    PatchDiscriminator,
    RestorationNetwork,
    RestorationTraining,
    Restored,
    degraded,
    train_restoration,
)
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.progress import QuietProgress
from fedleak.threat import PublicData
from tests.builders import digits

CODE = SmallerImage((1, 8, 8), 2)


def public(count: int) -> PublicData:
    data = digits().train
    return PublicData(torch.from_numpy(data.images[:count]), torch.from_numpy(data.labels[:count]))


def trained(data: PublicData, *, seed: int = 0, **changes: float) -> Restored:
    return train_restoration(
        data,
        CODE,
        RestorationTraining.model_validate({"width": 8, "epochs": 4, "batch_size": 32} | changes),
        generator=torch.Generator().manual_seed(seed),
        progress=QuietProgress(),
        name="test",
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 18, 31)])
def test_an_untrained_network_changes_nothing(shape: InputShape) -> None:
    images = torch.rand(2, *shape)
    network = RestorationNetwork(shape[0], 4, classes=3)
    torch.testing.assert_close(network.restored(images, torch.tensor([0, 2])), images)
    assert PatchDiscriminator(shape[0], 4)(images).shape[:2] == (2, 1)


def test_the_scale_and_shift_are_the_classs_own_and_new_classes_count_as_unknown() -> None:
    torch.manual_seed(0)
    network, image = RestorationNetwork(1, 4, classes=3), torch.rand(1, 1, 8, 8)
    torch.nn.init.normal_(network.last.weight)
    with torch.no_grad():
        network.up.norm.scale.weight[1] *= 2
        network.up.norm.scale.weight[3] *= 3
    zero, one, unknown, new, none = (
        network.restored(image, label)
        for label in (torch.tensor([0]), torch.tensor([1]), torch.tensor([3]), torch.tensor([7]), None)
    )
    assert not torch.equal(zero, one)
    assert not torch.equal(zero, unknown)
    assert torch.equal(unknown, new)
    assert torch.equal(unknown, none)


def test_degradation_is_decoding_a_noisy_code() -> None:
    images = public(5).images.float() / 255
    generator = torch.Generator().manual_seed(4)
    found = degraded(CODE, images, 0.3, generator)
    generator.manual_seed(4)
    size = 0.3 * torch.rand(5, 1, 1, 1, generator=generator)
    code = CODE.encode(images) + size * torch.randn(5, 1, 4, 4, generator=generator)
    assert torch.equal(found, CODE.decode(code).clamp(0, 1))
    clean = degraded(CODE, images, 0.0, generator)
    assert torch.equal(clean, CODE.decode(CODE.encode(images)).clamp(0, 1))


@pytest.mark.parametrize("adversarial", [0.0, 0.01])
def test_images_that_it_was_not_trained_on_are_restored(adversarial: float) -> None:
    data = digits().train
    others, labels = torch.from_numpy(data.images[600:800]).float() / 255, torch.from_numpy(data.labels[600:800])
    source = degraded(CODE, others, 0.2, torch.Generator().manual_seed(1))
    network = trained(public(400), epochs=5, adversarial=adversarial).network
    before, after = ((x - others).abs().mean() for x in (source, network.restored(source, labels)))
    assert float(after) < 0.8 * float(before)


def test_the_epoch_that_is_best_on_held_out_images_is_kept() -> None:
    """The first draw decides which images are held out; without noise the comparison can be made again."""
    data = public(200)
    outcome = trained(data, noise=0.0, held_out=0.2, learning_rate=0.05, adversarial=0.0, epochs=6)
    rows = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:40]
    images = data.images[rows].float() / 255
    source = degraded(CODE, images, 0.0, torch.Generator())
    found = (outcome.network.restored(source, data.labels[rows]) - images).abs().mean()
    assert len(outcome.held_out_curve) == len(outcome.train_curve) == 6
    assert float(found) == pytest.approx(min(outcome.held_out_curve), rel=1e-4)


def test_training_is_reproducible() -> None:
    first, second, other = (trained(public(64), seed=seed, epochs=2).network.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["last.weight"], other["last.weight"])


def test_training_that_cannot_work_says_so() -> None:
    with pytest.raises(AttackFailedError, match="too few to hold out"):
        trained(public(1))
    with pytest.raises(AttackFailedError, match="diverged"):
        trained(public(64), learning_rate=1e25, epochs=3)
