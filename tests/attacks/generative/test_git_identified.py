from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.attacks.base import Artefact
from fedleak.attacks.generative.git_identified import GitIdentified
from fedleak.attacks.generative.git_ridge import GitRidge
from fedleak.errors import AttackFailedError
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.progress import QuietProgress
from fedleak.threat import InjectedPairs, ModelArchitecture, SharedUpdate
from tests.builders import MODEL_SEED, architecture, digits, injected_pairs, shared_update

CPU = torch.device("cpu")
VICTIMS = range(1200, 1230)
RELU = architecture(LeNet(channels=8, activation="relu"))


def fitted(pairs: InjectedPairs, leaked: ModelArchitecture, **settings: int) -> Artefact:
    attack = GitIdentified(**settings)  # type: ignore[arg-type]
    return attack.fit(pairs, leaked, generator=torch.Generator(), progress=QuietProgress(), device=CPU)


def victim(leaked: ModelArchitecture, number: int) -> tuple[torch.Tensor, SharedUpdate]:
    data = digits().train.take(np.arange(number, number + 1))
    return torch.from_numpy(data.images).float() / 255, shared_update(leaked, data.images, data.labels)


def test_it_rebuilds_unseen_images_of_a_relu_network_better_than_one_linear_map(tmp_path: Path) -> None:
    pairs = injected_pairs(tmp_path, RELU, pairs=600)
    attack, ridge = GitIdentified(), GitRidge()
    trained = attack.restore(fitted(pairs, RELU), RELU, device=CPU)
    solved = ridge.fit(pairs, generator=torch.Generator(), progress=QuietProgress(), device=CPU)
    linear = ridge.restore(solved, pairs, device=CPU)
    errors = []
    for number in VICTIMS:
        image, update = victim(RELU, number)
        identified = attack.reconstruct(trained, update, generator=torch.Generator()).images
        of_ridge = ridge.reconstruct(linear, update, generator=torch.Generator()).images
        errors.append([float((guess - image).square().mean()) for guess in (identified, of_ridge)])
    ours, theirs = np.mean(errors, axis=0)
    assert ours < 0.5 * theirs


def test_estimates_end_nearer_to_the_leaked_weights_than_they_start(tmp_path: Path) -> None:
    artefact = fitted(injected_pairs(tmp_path, RELU, pairs=400), RELU)
    leaked = dict(RELU.build(seed=MODEL_SEED).named_parameters())
    steps = artefact.estimates["4.weight"]
    # A map of 2 x 2 pixels meets nothing but the inner three by three values of a kernel.
    start, end = ((step - leaked["4.weight"]).detach()[:, :, 1:4, 1:4].norm() for step in steps)
    assert end < 0.5 * start


def test_a_model_of_two_layers_has_nothing_to_identify(tmp_path: Path) -> None:
    leaked = architecture(Mlp(hidden=(20,)))
    pairs = injected_pairs(tmp_path, leaked, pairs=100)
    attack = GitIdentified()
    trained = attack.restore(fitted(pairs, leaked), leaked, device=CPU)
    image, update = victim(leaked, 1200)
    rebuilt = attack.reconstruct(trained, update, generator=torch.Generator()).images
    assert rebuilt.shape == image.shape


def test_what_is_no_chain_or_holds_several_images_is_a_failed_attack(tmp_path: Path) -> None:
    convnet = architecture(ConvNet(widths=(4, 6)))
    with pytest.raises(AttackFailedError, match="cannot invert this layer"):
        fitted(injected_pairs(tmp_path, convnet, pairs=4), convnet)
    (tmp_path / "two").mkdir()
    with pytest.raises(AttackFailedError, match="one image"):
        fitted(injected_pairs(tmp_path / "two", RELU, pairs=4, batch=2), RELU)
