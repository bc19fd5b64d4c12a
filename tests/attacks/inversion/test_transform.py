"""From one update to what was done to it."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from fedleak.attacks.inversion.transform import estimated_postprocessing
from fedleak.client.postprocess.base import PostProcess, apply_steps
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.gradient_masking import GradientMasking
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.client.postprocess.laplacian_noise import LaplacianNoise
from fedleak.client.postprocess.magnitude_pruning import MagnitudePruning
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.random_k import RandomK
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.client.postprocess.top_k import TopK
from fedleak.client.postprocess.uniform_quantisation import UniformQuantisation
from fedleak.models.lenet import LeNet
from tests.attacks.inversion.builders import Victim, victim

ONE, FOUR = "one image, ReLU", "four images, sigmoid"


@lru_cache(maxsize=2)
def honest(name: str) -> Victim:
    """Half of the first gradient is zero: dead units leave rows, columns and kernels of zeros."""
    if name == ONE:
        return victim(LeNet(channels=6, activation="relu"), uniform=False)
    return victim(LeNet(channels=6, activation="sigmoid"), count=4, uniform=False)


def estimated(name: str, *steps: PostProcess, seed: int = 0) -> tuple[PostProcess, ...]:
    update = honest(name).update.tensors
    return estimated_postprocessing(apply_steps(steps, update, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("name", [ONE, FOUR])
def test_an_honest_gradient_looks_like_one_clipped_by_its_norm_or_not(name: str) -> None:
    assert estimated(name) == ()
    assert estimated(name, L2Clipping(max_norm=0.1)) == ()


@pytest.mark.parametrize("name", [ONE, FOUR])
@pytest.mark.parametrize(
    "step",
    [
        SignSgd(),
        SignSgd(scale="none"),
        Qsgd(bits=1),
        Qsgd(bits=8),
        UniformQuantisation(bits=3),
        UniformQuantisation(bits=8),
        GradientMasking(layers=("0.weight", "0.bias")),
    ],
    ids=str,
)
def test_grids_and_missing_layers_are_read_off_exactly(name: str, step: PostProcess) -> None:
    assert estimated(name, step) == (step,)


def test_bits_are_the_fewest_that_reach_the_highest_level() -> None:
    assert estimated(FOUR, Qsgd(bits=4)) == (Qsgd(bits=3),)
    assert estimated(ONE, Qsgd(bits=4, scale="max")) == (UniformQuantisation(bits=5),), "the same grid"


@pytest.mark.parametrize("name", [ONE, FOUR])
@pytest.mark.parametrize("step", [TopK(share=0.1), MagnitudePruning(rate=0.9)], ids=lambda step: step.kind)
def test_the_largest_are_kept(name: str, step: PostProcess) -> None:
    (found,) = estimated(name, step)
    assert isinstance(found, TopK)
    assert found.scope == "tensor"
    assert found.share == pytest.approx(0.1, abs=0.005)


def test_where_nothing_of_a_tensor_is_kept_it_seems_left_out() -> None:
    omitted, found = estimated(ONE, TopK(share=0.1, scope="global"))
    assert omitted == GradientMasking(layers=("0.bias",))
    assert isinstance(found, TopK)
    assert found.scope == "global"
    assert found.share == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("name", [ONE, FOUR])
def test_places_drawn_by_chance(name: str) -> None:
    """Of the places drawn, only those show where there was something to share: within four standard deviations.

    The draw is one in which every tensor keeps something: an empty one would look left out.
    """
    (found,) = estimated(name, RandomK(share=0.1), seed=1)
    update = honest(name).update.flat()
    assert isinstance(found, RandomK)
    filled = float((update != 0).double().mean())
    deviation = (filled * (1 - filled) / (0.1 * update.numel())) ** 0.5
    assert found.share == pytest.approx(0.1 * filled, abs=0.4 * deviation + 1e-9)


@pytest.mark.parametrize("name", [ONE, FOUR])
def test_the_bound_of_clipping(name: str) -> None:
    (found,) = estimated(name, ElementwiseClipping(bound=0.01))
    assert isinstance(found, ElementwiseClipping)
    assert found.bound == pytest.approx(0.01)


@pytest.mark.parametrize("name", [ONE, FOUR])
@pytest.mark.parametrize("step", [GaussianNoise(std=0.01), LaplacianNoise(std=0.01)], ids=lambda step: step.kind)
def test_the_level_of_noise(name: str, step: PostProcess) -> None:
    (found,) = estimated(name, step)
    assert isinstance(found, GaussianNoise), "the distribution does not show"
    assert found.std == pytest.approx(0.01, rel=0.25)


def test_a_chain_whose_traces_do_not_hide_each_other() -> None:
    clipped, masked = ElementwiseClipping(bound=0.01), GradientMasking(layers=("0.*",))
    first, second, third = estimated(FOUR, masked, clipped, TopK(share=0.2))
    assert isinstance(first, GradientMasking)
    assert isinstance(second, TopK)
    assert isinstance(third, ElementwiseClipping)


@pytest.mark.parametrize("update", [{}, {"w": torch.zeros(3, 2)}, {"count": torch.tensor([1])}, {"w": torch.zeros(0)}])
def test_an_update_without_values_says_nothing(update: dict[str, torch.Tensor]) -> None:
    assert estimated_postprocessing(update) == ()
