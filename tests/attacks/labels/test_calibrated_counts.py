from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.labels.calibrated_counts import CalibratedCounts, noise_of_all_scales
from fedleak.attacks.labels.greedy_bias import GreedyBias
from fedleak.client.local_sgd import LocalSgd
from fedleak.data.sources.synthetic import Synthetic
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet import ResNet
from fedleak.threat import GlobalModel, ModelArchitecture
from tests.attacks.inversion.builders import victim_of
from tests.attacks.labels.recovery import Setting, share_recovered

MODELS = [LeNet(), LeNet(activation="relu"), ConvNet(widths=(8, 8)), Mlp()]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_untrained_networks_give_away_every_label_of_a_batch_with_repeats(model: LeNet) -> None:
    assert share_recovered(CalibratedCounts(), Setting(model), batch=16) >= 0.99


def test_it_corrects_what_the_greedy_choice_gets_wrong() -> None:
    setting = Setting(LeNet())
    assert share_recovered(GreedyBias(), setting, batch=16) < share_recovered(CalibratedCounts(), setting, batch=16)


def test_without_a_bias_the_mean_features_stand_in() -> None:
    assert share_recovered(CalibratedCounts(), Setting(LeNet(last_bias=False)), batch=16) >= 0.95


def test_one_local_step_of_unknown_rate() -> None:
    assert share_recovered(CalibratedCounts(), Setting(LeNet(), "fedavg"), batch=16) >= 0.9


def test_several_local_steps_of_known_rate() -> None:
    setting = Setting(LeNet(), "fedavg", epochs=2, batch_size=4, rate=0.01)
    guess = LocalTrainingGuess(learning_rate=0.01, epochs=2, batch_size=4)
    assert share_recovered(CalibratedCounts(local_training=guess), setting, batch=16) >= 0.95


def test_momentum_makes_more_of_the_steps() -> None:
    heavy = LocalSgd(momentum=0.9)
    setting = Setting(LeNet(), "fedavg", epochs=2, batch_size=4, rate=0.01, sgd=heavy)
    guess = LocalTrainingGuess(learning_rate=0.01, epochs=2, batch_size=4, sgd=heavy)
    assert share_recovered(CalibratedCounts(local_training=guess), setting, batch=16) >= 0.95


def test_a_wrong_rate_costs_labels() -> None:
    setting = Setting(LeNet(), "fedavg", epochs=2, batch_size=4, rate=0.01)
    right, wrong = (LocalTrainingGuess(learning_rate=r, epochs=2, batch_size=4) for r in (0.01, 0.05))
    shares = [share_recovered(CalibratedCounts(local_training=guess), setting, batch=16) for guess in (right, wrong)]
    assert shares[0] > shares[1]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 36), (2, 1, 5)])
def test_noise_of_all_scales_goes_from_one_colour_to_single_pixels(shape: tuple[int, int, int]) -> None:
    noise = noise_of_all_scales(14, shape, torch.Generator().manual_seed(0))
    assert noise.shape == (14, *shape)
    flat = noise.std(dim=(2, 3), correction=0)
    torch.testing.assert_close(flat[0], torch.zeros(shape[0]), rtol=0, atol=1e-6)
    assert bool((flat[1] > 0).all())
    again = noise_of_all_scales(14, shape, torch.Generator().manual_seed(0))
    assert torch.equal(noise, again)


def test_deep_networks_are_calibrated_on_coarse_noise_too() -> None:
    """Drawn shapes and an untrained residual network, which white noise alone gets wrong for one label in ten."""
    data = Synthetic(size=32, images=160).load().train
    leaked, right = ModelArchitecture(ResNet(width=16).factory((3, 32, 32), 10), (3, 32, 32), 10), 0
    for start in range(0, 160, 16):
        one = victim_of(leaked, data.take(np.arange(start, start + 16)))
        guess = CalibratedCounts().infer(one.update, leaked, GlobalModel(one.state, version=0), count=16)
        right += (Counter(guess.tolist()) & Counter(one.labels.tolist())).total()
    assert right / 160 >= 0.95
