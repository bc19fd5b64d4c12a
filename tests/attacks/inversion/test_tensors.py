"""What the objective is computed from: signs, weights, bounds, and one copy for each trial."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.tensors import noise_weights, search_tensors, side_by_side, stack_trials
from fedleak.attacks.replay import LocalSteps
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.laplacian_noise import LaplacianNoise
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.top_k import TopK
from fedleak.errors import AttackFailedError
from fedleak.threat import BatchStatistics
from tests.attacks.inversion.builders import victim

UPDATE = {"large": torch.full((4,), 2.0), "small": torch.full((12,), 0.5)}


def test_no_noise_no_weights() -> None:
    assert noise_weights((), UPDATE) == {}
    assert noise_weights((TopK(share=0.5), GaussianNoise(std=0.0)), UPDATE) == {}


def test_absolute_noise_leaves_all_tensors_alike() -> None:
    assert noise_weights([GaussianNoise(std=0.3)], UPDATE) == {"large": pytest.approx(1), "small": pytest.approx(1)}


def test_factors_go_with_the_root_of_the_deviation_and_have_mean_square_one() -> None:
    """Standard deviations are as 4 to 1, so factors are as 1 to 2: ``4 f^2 + 12 (2 f)^2 = 16``."""
    for kind in (GaussianNoise, LaplacianNoise):
        found = noise_weights([kind(std=0.5, relative_to="tensor")], UPDATE)
        assert found == {"large": pytest.approx((16 / 52) ** 0.5), "small": pytest.approx(2 * (16 / 52) ** 0.5)}


def test_variances_of_several_steps_add_up() -> None:
    (one,) = [GaussianNoise(std=0.5, relative_to="tensor")]
    twice = noise_weights([one, one], UPDATE)
    assert twice == {name: pytest.approx(float(value)) for name, value in noise_weights([one], UPDATE).items()}
    mixed = noise_weights([one, GaussianNoise(std=100.0)], UPDATE)
    assert mixed == {"large": pytest.approx(1, abs=1e-3), "small": pytest.approx(1, abs=1e-3)}


def test_a_tensor_rounded_to_nothing_is_worth_as_little_as_the_noisiest() -> None:
    shared = {"a": torch.tensor([0.0, 1.0, 0.0, 0.0]), "b": torch.tensor([0.0, 0.25]), "c": torch.zeros(3)}
    found = noise_weights([Qsgd(bits=1)], shared)
    assert found["c"] == found["a"] < found["b"]


ATTACK = InvertingGradients()
COSINE, SQUARED = Distance(kind="cosine"), Distance(kind="squared_l2")
AVERAGING = LocalTraining("fedavg", batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)


def test_every_restart_has_the_update_and_the_labels() -> None:
    one = victim(count=2)
    tensors = search_tensors(Problem(one.bundle(ATTACK)), COSINE, restarts=3, box=False)
    for name, shared in one.update.tensors.items():
        assert tensors.trials.target[name].shape == (3, *shared.shape)
        assert all(torch.equal(trial, shared) for trial in tensors.trials.target[name])
    soft = tensors.trials.labels["soft"]
    assert (soft.shape, soft.argmax(dim=-1).tolist()) == ((3, 2, 10), [one.labels.sort().values.tolist()] * 3)
    assert (tensors.trials.mask, tensors.trials.consensus, tensors.trials.statistics) == ({}, {}, {})
    for name, value in {**tensors.model.parameters, **tensors.model.buffers}.items():
        assert torch.equal(value, one.state[name])


def test_labels_that_are_searched_for_are_no_constants() -> None:
    assert search_tensors(Problem(victim().bundle(Dlg())), SQUARED, restarts=1, box=False).trials.labels == {}


def test_pixels_are_bounded_where_networks_see_them() -> None:
    """0 and 1 as pixels are -1 and 1 under mean and deviation of a half."""
    problem = Problem(victim().bundle(ATTACK))
    box = search_tensors(problem, COSINE, restarts=1, box=True).model.box
    assert {name: bound.flatten().tolist() for name, bound in box.items()} == {"low": [-1.0], "high": [1.0]}
    assert search_tensors(problem, COSINE, restarts=1, box=False).model.box == {}


def test_a_delta_of_unknown_size_is_turned_round_and_one_of_known_steps_is_not() -> None:
    one = victim(training=AVERAGING)
    for steps, sign in ((None, -1), (LocalSteps(0.1, ((0,),)), 1)):
        target = search_tensors(Problem(one.bundle(ATTACK), steps), COSINE, restarts=1, box=False).trials.target
        assert all(torch.equal(target[name][0], sign * shared) for name, shared in one.update.tensors.items())


def test_what_needs_the_size_of_a_delta_says_so() -> None:
    one = victim(training=AVERAGING)
    with pytest.raises(AttackFailedError, match="distance squared_l2 needs a gradient of known scale"):
        search_tensors(Problem(one.bundle(ATTACK)), SQUARED, restarts=1, box=False)
    clipped = Problem(one.bundle(ATTACK), postprocessing=(ElementwiseClipping(bound=0.1),))
    with pytest.raises(AttackFailedError, match="applying elementwise_clipping to trial updates needs their scale"):
        search_tensors(clipped, COSINE, restarts=1, box=False)


def test_an_update_that_is_not_finite_is_a_failed_attack() -> None:
    one = victim()
    tensors = dict(one.update.tensors)
    last = list(tensors)[-1]
    tensors[last] = torch.full_like(tensors[last], torch.inf)
    problem = Problem(one.bundle(ATTACK, update=replace(one.update, tensors=tensors)))
    with pytest.raises(AttackFailedError, match="the update is not finite"):
        search_tensors(problem, COSINE, restarts=1, box=False)


def test_the_largest_coordinates_and_the_noise_make_one_mask() -> None:
    one = victim()
    noise = GaussianNoise(std=1.0, relative_to="tensor")
    distance = Distance(kind="cosine", top_share=0.25)
    problem = Problem(one.bundle(ATTACK), postprocessing=(noise,))
    mask = search_tensors(problem, distance, restarts=2, box=False).trials.mask
    weights = noise_weights((noise,), one.update.tensors)
    for name, shared in one.update.tensors.items():
        assert mask[name].shape == (2, *shared.shape)
        torch.testing.assert_close(mask[name][1], distance.mask(shared) * weights[name])


def test_batch_statistics_are_repeated_in_the_type_of_the_update() -> None:
    told = BatchStatistics({"layer.mean": torch.tensor([1.0, 2.0], dtype=torch.float64)})
    problem = Problem(victim().bundle(ATTACK, statistics=told))
    found = search_tensors(problem, COSINE, restarts=2, box=False).trials.statistics["layer.mean"]
    assert (found.tolist(), found.dtype) == ([[1.0, 2.0]] * 2, torch.float32)


def test_trials_of_several_victims_lie_end_to_end_and_the_model_is_common() -> None:
    victims = [victim(first=first) for first in range(2)]
    several = [search_tensors(Problem(one.bundle(ATTACK)), COSINE, restarts=2, box=True) for one in victims]
    together = side_by_side(several)
    assert together.model is several[0].model
    for name in victims[0].update.tensors:
        expected = [victims[0].update.tensors[name]] * 2 + [victims[1].update.tensors[name]] * 2
        assert torch.equal(together.trials.target[name], torch.stack(expected))
    assert side_by_side(several[:1]) is several[0]
    assert together.trials.mask == {}


def test_stacking_keeps_the_order_of_the_victims() -> None:
    stacked = stack_trials([{"a": torch.tensor([1, 2])}, {"a": torch.tensor([3])}])
    assert stacked["a"].tolist() == [1, 2, 3]
