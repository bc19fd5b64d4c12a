from __future__ import annotations

import pytest
import torch

from fedleak.attacks.inversion.tensors import noise_weights
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.laplacian_noise import LaplacianNoise
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.top_k import TopK

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
