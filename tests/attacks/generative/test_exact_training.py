"""Training of Exact-GIT's weights: its course, its best epoch, and when it ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.attacks.generative.exact_network import ExactNetwork
from fedleak.attacks.generative.exact_training import ExactCourse, evaluate, train_exactly
from fedleak.attacks.generative.training import TrainingSettings
from fedleak.attacks.layers.chain import chain_of
from fedleak.errors import AttackFailedError
from fedleak.models.mlp import Mlp
from fedleak.progress import QuietProgress
from fedleak.threat import InjectedPairs, PixelPrior
from tests.builders import MODEL_SEED, architecture, injected_pairs

LEAKED = architecture(Mlp(hidden=(9,), activation="sigmoid"))
PIXELS = PixelPrior((0.5,), (0.5,))
QUICK = TrainingSettings(epochs=4, batch_size=8, learning_rate=1e-2, patience=4, held_out=0.25)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> InjectedPairs:
    return injected_pairs(tmp_path_factory.mktemp("pairs"), LEAKED, pairs=24)


def network(seed: int = 0, *, read_biases: bool = False) -> ExactNetwork:
    chain = chain_of(LEAKED.build(seed=seed), LEAKED.input_shape)
    return ExactNetwork(chain, PIXELS, LEAKED.input_shape, read_biases=read_biases, guard=1e-9)


def train(own: ExactNetwork, pairs: InjectedPairs, settings: TrainingSettings = QUICK, *, seed: int = 0) -> ExactCourse:
    generator = torch.Generator().manual_seed(seed)
    return train_exactly(own, pairs, settings, generator=generator, progress=QuietProgress(), name="test")


def test_the_course_begins_before_the_first_epoch_and_has_every_one_after(pairs: InjectedPairs) -> None:
    own = network()
    start = own.named()["3.weight"]
    course = train(own, pairs)
    assert (course.pairs, course.held_out_pairs) == (18, 6)
    assert len(course.train_curve) == len(course.held_out_curve) == len(course.weights["3.weight"]) == 5
    assert torch.equal(course.weights["3.weight"][0], start)
    assert torch.equal(course.weights["3.weight"][-1], own.named()["3.weight"])


def test_the_best_weights_are_those_of_the_least_held_out_error(pairs: InjectedPairs) -> None:
    own = network()
    course = train(own, pairs)
    assert course.best_epoch == int(np.argmin(course.held_out_curve))
    assert torch.equal(course.best["3.weight"], course.weights["3.weight"][course.best_epoch])
    assert course.held_out_curve[course.best_epoch] < course.held_out_curve[0]


def test_it_follows_its_generator(pairs: InjectedPairs) -> None:
    first, again, other = (train(network(), pairs, seed=seed).held_out_curve for seed in (0, 0, 1))
    assert first == again != other


def test_with_the_true_weights_there_is_nothing_to_learn(pairs: InjectedPairs) -> None:
    true = network(MODEL_SEED)
    assert evaluate(true, pairs, np.arange(24), 8, clamp=False) < 1e-8


def test_where_biases_tell_everything_no_weight_is_trained(pairs: InjectedPairs) -> None:
    course = train(network(read_biases=True), pairs)
    assert (course.weights, course.best, len(course.held_out_curve)) == ({}, {}, 1)
    assert course.held_out_curve[0] < 1e-8


def test_patience_ends_it(pairs: InjectedPairs) -> None:
    """True weights can only get worse; two epochs without a better one are enough."""
    settings = QUICK.model_copy(update={"epochs": 50, "patience": 2, "learning_rate": 0.5})
    course = train(network(MODEL_SEED), pairs, settings)
    assert (course.best_epoch, len(course.held_out_curve)) == (0, 3)


def test_the_error_is_the_mean_over_pixels_images_and_pairs_whatever_the_batches(pairs: InjectedPairs) -> None:
    own, rows = network(), np.arange(5, 16)
    with torch.no_grad():
        estimate = own(pairs.layout.unflatten(pairs.read_updates(rows)))
    images = pairs.read_images(rows)[:, 0]
    for clamp, shown in ((False, estimate), (True, estimate.clamp(0, 1))):
        expected = float((shown - images).square().mean())
        for size in (1, 3, 100):
            assert evaluate(own, pairs, rows, size, clamp=clamp) == pytest.approx(expected)


def test_an_error_that_is_not_finite_is_a_failed_attack(pairs: InjectedPairs) -> None:
    own = network()
    own.load({"3.weight": torch.full((10, 9), torch.nan)})
    with pytest.raises(AttackFailedError, match="training test diverged in epoch 1"):
        train(own, pairs)
