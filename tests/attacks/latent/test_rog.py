from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.latent.codes import Autoencoder
from fedleak.attacks.latent.rog import Rog, RogNetworks
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.top_k import TopK
from fedleak.models.convnet import ConvNet
from fedleak.progress import QuietProgress
from fedleak.threat import PostProcessingDetails, PublicData
from tests.attacks.inversion.builders import PIXELS, Victim, victim
from tests.builders import digits

QUICK = {"code": {"kind": "bicubic", "factor": 2}, "training": {"width": 8, "epochs": 6, "batch_size": 32}}
CPU = torch.device("cpu")
NETWORK = ConvNet(widths=(8, 8), normalisation="none", pooling="average")


def rog(**changes: Any) -> Rog:
    return Rog.model_validate(QUICK | changes)


def fitted(attack: Rog) -> RogNetworks:
    """On digits that no victim has."""
    data, leaked = digits().train, victim().leaked
    public = PublicData(torch.from_numpy(data.images[500:900]), torch.from_numpy(data.labels[500:900]))
    generator = torch.Generator().manual_seed(0)
    artefact = attack.fit(public, leaked, generator=generator, progress=QuietProgress(), device=CPU)
    assert artefact.facts["images"] == 400
    return attack.restore(artefact, leaked, device=CPU)


@pytest.fixture(scope="module")
def trained() -> RogNetworks:
    return fitted(rog())


def rebuilt(attack: Rog, trained: RogNetworks, one: Victim, *, seed: int = 0) -> Reconstruction:
    return attack.reconstruct(trained, one.bundle(attack), generator=torch.Generator().manual_seed(seed))


def mse(answer: Reconstruction, one: Victim) -> float:
    return float((answer.images - one.images).square().mean())


def test_the_defaults_are_those_of_the_authors_code() -> None:
    attack = Rog()
    assert (attack.iterations, attack.keep, attack.code.kind, attack.code.factor) == (100, "last", "bicubic", 4)
    assert (attack.distance.kind, attack.priors.total_variation) == ("squared_l2", 0)
    assert (attack.optimiser.kind, attack.optimiser.learning_rate, attack.optimiser.schedule) == (
        "adam",
        0.05,
        "cosine",
    )
    assert not attack.adaptive


def test_the_loss_is_the_squared_distance_of_the_enlarged_codes_gradient(trained: RogNetworks) -> None:
    """Written out with autograd for the first iterate, and for one step of Adam from there."""
    one = victim(NETWORK)
    module = one.leaked.build(seed=3)
    module.load_state_dict(one.state)
    code = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    image = (F.interpolate(code, size=(8, 8), mode="bicubic", align_corners=False) - PIXELS.mean[0]) / PIXELS.std[0]
    loss = F.cross_entropy(module.eval()(image), one.labels)
    trial = torch.autograd.grad(loss, list(module.parameters()), create_graph=True)
    distance = sum((a - b).square().sum() for a, b in zip(trial, one.update.tensors.values(), strict=True))
    assert isinstance(distance, torch.Tensor)
    (slope,) = torch.autograd.grad(distance, code)
    moved = code.detach() - 0.05 * slope.sign()  # the first step of Adam
    answer = rebuilt(rog(iterations=1), RogNetworks(trained.code, None), one)
    assert answer.curve["matching_loss"][0] == pytest.approx(distance.item(), rel=1e-4)
    expected = F.interpolate(moved, size=(8, 8), mode="bicubic", align_corners=False).clamp(0, 1)
    torch.testing.assert_close(answer.images, expected, rtol=1e-3, atol=1e-3)


def test_the_search_finds_the_image_at_half_the_resolution_and_the_network_restores_it(trained: RogNetworks) -> None:
    ones = [victim(NETWORK, first=i) for i in range(3)]
    bare = RogNetworks(trained.code, None)
    start = sum(mse(rebuilt(rog(iterations=1), bare, one), one) for one in ones)
    found = sum(mse(rebuilt(rog(), bare, one), one) for one in ones)
    restored = sum(mse(rebuilt(rog(), trained, one), one) for one in ones)
    best = sum(float((trained.code.decode(trained.code.encode(o.images)) - o.images).square().mean()) for o in ones)
    assert found < 0.4 * start
    assert found < 2 * best, "near what the code can hold"
    assert restored < 0.9 * found


def test_without_training_the_decoded_image_is_the_result(trained: RogNetworks) -> None:
    attack = rog(training=None)
    own = fitted(attack)
    assert own.restoration is None
    assert torch.equal(
        rebuilt(attack, own, victim()).images, rebuilt(rog(), RogNetworks(trained.code, None), victim()).images
    )


def test_the_code_of_an_autoencoder_is_searched_as_well() -> None:
    code = {"kind": "autoencoder", "factor": 2, "channels": 3, "width": 8, "epochs": 10, "learning_rate": 0.01}
    attack = rog(code=code, training={"width": 4, "epochs": 1})
    networks, one = fitted(attack), victim(NETWORK)
    assert isinstance(networks.code, Autoencoder)
    answers = [rebuilt(rog(code=code, iterations=count), networks, one) for count in (1, 100)]
    assert mse(answers[1], one) < 0.6 * mse(answers[0], one)


def test_one_who_adapts_compares_only_what_was_kept(trained: RogNetworks) -> None:
    one = victim(NETWORK)
    step = TopK(share=0.3)
    shared = step.apply(one.update.tensors, generator=torch.Generator())
    defended = Victim(
        one.leaked, one.state, type(one.update)(shared, "fedsgd", 1, 1, 1), one.images, one.labels, one.training
    )
    plain = rebuilt(rog(), trained, defended)
    attack = rog(adaptive=True)
    known = defended.bundle(attack, postprocessing=PostProcessingDetails((step,)))
    adaptive = attack.reconstruct(trained, known, generator=torch.Generator().manual_seed(0))
    assert adaptive.curve["matching_loss"][0] < plain.curve["matching_loss"][0]
    assert PostProcessingDetails in attack.wanted()
    assert (rog().adapts, attack.adapts) == (False, True)


def test_it_unrolls_local_steps(trained: RogNetworks) -> None:
    training = LocalTraining("fedavg", batch_size=1, epochs=2, learning_rate=0.1, train_mode=False)
    one = victim(NETWORK, count=2, training=training)
    attack = rog(local_training={"learning_rate": 0.1, "epochs": 2, "batch_size": 1})
    curve = rebuilt(attack, trained, one).curve["matching_loss"]
    assert curve[-1] < 0.6 * curve[0]


def test_restarts_come_from_the_generator_alone(trained: RogNetworks) -> None:
    state = torch.get_rng_state()
    few = rog(iterations=4, restarts=2)
    first, second, other = (rebuilt(few, trained, victim(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_networks_are_trained_anew_only_for_what_they_depend_on() -> None:
    assert rog().training_settings() == rog(iterations=7, adaptive=True, id="other").training_settings()
    assert rog().training_settings() != rog(code={"kind": "bicubic", "factor": 4}).training_settings()
    assert rog().training_settings() != rog(training={"epochs": 2}).training_settings()


@pytest.mark.parametrize(
    "changes",
    [
        {"init": {"from": "lti"}},
        {"init": "normal"},
        {"decoder": {"kind": "upsample"}},
        {"priors": {"group": 0.1}},
        {"compile": "always"},
        {"box": True},
        {"code": {"kind": "autoencoder", "factor": 3}},
    ],
)
def test_settings_that_mean_nothing_here_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rog(**changes)
