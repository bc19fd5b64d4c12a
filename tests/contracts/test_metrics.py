"""Every metric gives one finite value per image, best for an exact copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedleak.families import kinds
from fedleak.metrics.base import Metric

BLIND_TO_SCALE = {"fft_2d"}
SIZES = [(1, 8, 8), (3, 32, 32), (3, 24, 40)]


@pytest.fixture(params=list(kinds("metric")))
def metric(request: pytest.FixtureRequest, alexnet_file: Path) -> Metric:
    """One kind; where it needs a backbone, one with random weights, so that nothing is fetched."""
    cls = kinds("metric")[request.param]
    made = cls.model_validate({"backbone": str(alexnet_file)} if "backbone" in cls.model_fields else {})
    assert isinstance(made, Metric)
    return made


def images(size: tuple[int, int, int], *, seed: int = 0) -> torch.Tensor:
    return torch.rand(4, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES)
def test_one_finite_value_per_image(metric: Metric, size: tuple[int, int, int]) -> None:
    value = metric.evaluate(images(size), images(size, seed=1))
    assert value.shape == (4,)
    assert value.isfinite().all()
    assert not value.requires_grad


@pytest.mark.parametrize("size", SIZES)
def test_an_exact_copy_has_the_best_value(metric: Metric, size: tuple[int, int, int]) -> None:
    truth = images(size)
    copy = metric.evaluate(truth.clone(), truth)
    assert copy.isfinite().all()
    others = [images(size, seed=1), torch.full_like(truth, 0.5)]
    if metric.kind not in BLIND_TO_SCALE:
        others += [0.9 * truth, 1 - truth]
    for other in others:
        difference = copy - metric.evaluate(other, truth)
        assert (difference > 0 if metric.higher_is_better else difference < 0).all()


def test_more_noise_is_worse(metric: Metric) -> None:
    truth = images((3, 32, 32))
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    levels = [metric.evaluate((truth + std * noise).clamp(0, 1), truth).mean() for std in (0.02, 0.1, 0.5)]
    assert levels == sorted(levels, reverse=metric.higher_is_better)


def test_values_follow_the_order_of_the_batch(metric: Metric) -> None:
    guess, truth, order = images((3, 32, 32)), images((3, 32, 32), seed=1), [2, 0, 3, 1]
    guess[1] = truth[1]
    value = metric.evaluate(guess, truth)
    torch.testing.assert_close(metric.evaluate(guess[order], truth[order]), value[order])
    alone = torch.cat([metric.evaluate(g[None], t[None]) for g, t in zip(guess, truth, strict=True)])
    torch.testing.assert_close(alone, value, rtol=1e-4, atol=1e-5)


def test_arguments_and_the_global_stream_are_not_touched(metric: Metric) -> None:
    guess, truth = images((1, 8, 8)), images((1, 8, 8), seed=1)
    kept, state = (guess.clone(), truth.clone()), torch.get_rng_state()
    metric.evaluate(guess, truth)
    assert torch.equal(guess, kept[0])
    assert torch.equal(truth, kept[1])
    assert torch.equal(torch.get_rng_state(), state)
