"""Every metric gives one finite value per image, best for an exact copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedleak.families import kinds
from fedleak.metrics.base import Metric, PeerMetric, Peers

BLIND_TO_SCALE = {"fft_2d"}
INDICATORS = {"iip", "leaked", "leaked_ssim", "readout"}
"""An exact copy has the best value, 1, but others may have it too."""
SIZES = [(1, 8, 8), (3, 32, 32), (3, 24, 40)]


@pytest.fixture(params=list(kinds("metric")))
def metric(request: pytest.FixtureRequest, alexnet_file: Path) -> Metric:
    """One kind; where it needs a backbone, one with random weights, so that nothing is fetched."""
    cls = kinds("metric")[request.param]
    cheap = {"backbone": str(alexnet_file), "features": {"kind": "random"}, "steps": 10, "accuracy": 0}
    made = cls.model_validate({name: value for name, value in cheap.items() if name in cls.model_fields})
    assert isinstance(made, Metric)
    return made


def evaluate(metric: Metric, guess: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Among the same peers each time, where the metric compares with others."""
    if not isinstance(metric, PeerMetric):
        return metric.evaluate(guess, truth)
    peers = Peers(images((truth.shape[1], truth.shape[2], truth.shape[3]), seed=9), torch.arange(4))
    return metric.evaluate_among(guess, truth, peers)


def images(size: tuple[int, int, int], *, seed: int = 0) -> torch.Tensor:
    return torch.rand(4, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES)
def test_one_finite_value_per_image(metric: Metric, size: tuple[int, int, int]) -> None:
    value = evaluate(metric, images(size), images(size, seed=1))
    assert value.shape == (4,)
    assert value.isfinite().all()
    assert not value.requires_grad


@pytest.mark.parametrize("size", SIZES)
def test_an_exact_copy_has_the_best_value(metric: Metric, size: tuple[int, int, int]) -> None:
    truth = images(size)
    copy = evaluate(metric, truth.clone(), truth)
    assert copy.isfinite().all()
    others = [images(size, seed=1), torch.full_like(truth, 0.5)]
    if metric.kind not in BLIND_TO_SCALE:
        others += [0.9 * truth, 1 - truth]
    for other in others:
        difference = copy - evaluate(metric, other, truth)
        if metric.kind in INDICATORS:
            assert (copy == 1).all()
            continue
        assert (difference > 0 if metric.higher_is_better else difference < 0).all()


def test_more_noise_is_worse(metric: Metric) -> None:
    truth = images((3, 32, 32))
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    levels = [evaluate(metric, (truth + std * noise).clamp(0, 1), truth).mean() for std in (0.02, 0.1, 0.5)]
    assert levels == sorted(levels, reverse=metric.higher_is_better)


def test_values_follow_the_order_of_the_batch(metric: Metric) -> None:
    guess, truth, order = images((3, 32, 32)), images((3, 32, 32), seed=1), [2, 0, 3, 1]
    guess[1] = truth[1]
    value = evaluate(metric, guess, truth)
    torch.testing.assert_close(evaluate(metric, guess[order], truth[order]), value[order])
    alone = torch.cat([evaluate(metric, g[None], t[None]) for g, t in zip(guess, truth, strict=True)])
    torch.testing.assert_close(alone, value, rtol=1e-4, atol=1e-5)


def test_arguments_and_the_global_stream_are_not_touched(metric: Metric) -> None:
    guess, truth = images((1, 8, 8)), images((1, 8, 8), seed=1)
    kept, state = (guess.clone(), truth.clone()), torch.get_rng_state()
    evaluate(metric, guess, truth)
    assert torch.equal(guess, kept[0])
    assert torch.equal(truth, kept[1])
    assert torch.equal(torch.get_rng_state(), state)
