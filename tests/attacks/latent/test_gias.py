from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.latent.dcgan import DcganGenerator
from fedleak.attacks.latent.gias import Gias
from fedleak.client.local_training import LocalTraining
from fedleak.models.convnet import ConvNet
from fedleak.progress import QuietProgress
from fedleak.threat import PublicData
from tests.attacks.inversion.builders import Victim, victim
from tests.builders import digits

QUICK = {"latent": 16, "width": 8, "iterations": 60, "weight_iterations": 40, "training": {"epochs": 8}}
CPU = torch.device("cpu")


def gias(**changes: Any) -> Gias:
    return Gias.model_validate(QUICK | changes)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """On digits that no victim has."""
    data, attack, leaked = digits().train, gias(), victim().leaked
    public = PublicData(torch.from_numpy(data.images[500:1200]), torch.from_numpy(data.labels[500:1200]))
    generator = torch.Generator().manual_seed(0)
    artefact = attack.fit(public, leaked, generator=generator, progress=QuietProgress(), device=CPU)
    assert artefact.facts["images"] == 700
    return attack.restore(artefact, leaked, device=CPU)


def rebuilt(attack: Gias, trained: nn.Module, one: Victim, *, seed: int = 0) -> Reconstruction:
    return attack.reconstruct(trained, one.bundle(attack), generator=torch.Generator().manual_seed(seed))


def mse(answer: Reconstruction, one: Victim) -> float:
    return float((answer.images - one.images).square().mean())


def test_it_comes_nearer_than_a_random_image_of_the_generator(trained: nn.Module) -> None:
    one = victim(ConvNet(widths=(8, 8)), uniform=False)
    found, random = rebuilt(gias(), trained, one), rebuilt(gias(iterations=1, weight_iterations=0), trained, one)
    assert mse(found, one) < 0.7 * mse(random, one)
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_searching_the_weights_matches_better_than_latent_vectors_alone(trained: nn.Module) -> None:
    one = victim(ConvNet(widths=(8, 8)), count=2, uniform=False)
    both, latent = rebuilt(gias(), trained, one), rebuilt(gias(weight_iterations=0), trained, one)
    assert len(both.curve["matching_loss"]) == 60 + 40
    assert both.curve["matching_loss"][:60] == latent.curve["matching_loss"]
    assert min(both.curve["matching_loss"]) < 0.9 * min(latent.curve["matching_loss"])


def test_latent_vectors_stay_in_the_second_stage_unless_asked(trained: nn.Module) -> None:
    """The authors freeze them; with both searched the update is matched otherwise."""
    one = victim(ConvNet(widths=(8, 8)), uniform=False)
    frozen, both = (rebuilt(gias(second_stage=s), trained, one) for s in ("weights", "weights_and_latents"))
    assert gias().second_stage == "weights"
    assert frozen.curve["matching_loss"][:61] == both.curve["matching_loss"][:61]
    assert frozen.curve["matching_loss"][62:] != both.curve["matching_loss"][62:]


def test_the_defaults_are_the_authors() -> None:
    attack = Gias()
    assert (attack.optimiser.schedule, attack.weight_optimiser.schedule, attack.keep) == ("step", "step", "last")
    assert (attack.optimiser.learning_rate, attack.weight_optimiser.learning_rate) == (0.03, 1e-3)


def test_a_dcgan_is_a_prior_as_well() -> None:
    data, leaked = digits().train, victim().leaked
    attack = gias(training={"kind": "dcgan", "epochs": 40, "learning_rate": 1e-3}, restarts=6)
    public = PublicData(torch.from_numpy(data.images[500:1200]), torch.from_numpy(data.labels[500:1200]))
    generator = torch.Generator().manual_seed(0)
    artefact = attack.fit(public, leaked, generator=generator, progress=QuietProgress(), device=CPU)
    assert {name: len(curve) for name, curve in artefact.curves.items()} == {"discriminator": 40, "generator": 40}
    network = attack.restore(artefact, leaked, device=CPU)
    assert isinstance(network, DcganGenerator)
    guess = attack.model_copy(update={"iterations": 1, "weight_iterations": 0, "restarts": 1})
    victims = [victim(ConvNet(widths=(8, 8)), uniform=False, first=first) for first in (0, 3, 7)]
    found, guessed = (sum(mse(rebuilt(each, network, one), one) for one in victims) for each in (attack, guess))
    assert found < 0.5 * guessed


def test_the_generator_stays_as_it_was(trained: nn.Module) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    rebuilt(gias(iterations=3, weight_iterations=3), trained, victim())
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_it_unrolls_local_steps(trained: nn.Module) -> None:
    training = LocalTraining("fedavg", batch_size=1, epochs=2, learning_rate=0.1, train_mode=False)
    one = victim(ConvNet(widths=(8, 8)), count=2, training=training, uniform=False)
    attack = gias(local_training={"learning_rate": 0.1, "epochs": 2, "batch_size": 1})
    curve = rebuilt(attack, trained, one).curve["matching_loss"]
    assert min(curve) < 0.6 * curve[0]


def test_restarts_come_from_the_generator_alone(trained: nn.Module) -> None:
    few = gias(iterations=4, weight_iterations=2, restarts=2)
    first, second, other = (rebuilt(few, trained, victim(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)


@pytest.mark.parametrize(
    "changes",
    [{"init": {"from": "lti"}}, {"decoder": {"kind": "upsample"}}, {"priors": {"group": 0.1}}, {"compile": "always"}],
)
def test_settings_that_mean_nothing_here_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        gias(**changes)
