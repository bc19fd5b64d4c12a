"""Fixed-size batches: against the closed form, and against Google's dp-accounting."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedleak.federation.accounting import epsilon
from fedleak.federation.without_replacement import amplified, epsilon_without_replacement

pytest.importorskip("opacus")


def spent(sigma: float, rate: float, samples: int, uses: int = 1) -> float:
    return epsilon_without_replacement(noise_multiplier=sigma, rate=rate, uses=uses, samples=samples, delta=1e-5)


@pytest.mark.parametrize(
    ("sigma", "held", "used", "samples", "reference"),
    [
        (2.0, 1000, 10, 100, 1.482525669114427),
        (1.0, 459, 4, 2, 5.017051406260252),
        (4.0, 1000, 10, 100, 0.43473118331365956),
        (8.0, 100, 10, 50, 1.574959636381346),
        (20.0, 100, 50, 10, 1.1462459282021826),
        (4.0, 60000, 60, 1000, 0.15479015987323338),
    ],
)
def test_dp_accounting_promises_no_less(sigma: float, held: int, used: int, samples: int, reference: float) -> None:
    """dp-accounting 0.6: ``SampledWithoutReplacementDpEvent(held, used, GaussianDpEvent(sigma / 2))``, replace-one.

    Delta is 1e-5. Its bound is tighter for even orders of Gaussian noise, which ours makes no use of.
    """
    assert reference * (1 - 1e-9) <= spent(sigma, used / held, samples) <= 1.7 * reference


def test_whole_data_sets_are_gaussian_mechanisms_of_twice_the_bound() -> None:
    """As Opacus accounts for them, on a few more orders."""
    for sigma, uses, samples in ((2.0, 1, 1), (8.0, 3, 10)):
        plain = epsilon(noise_multiplier=sigma / 2, sample_rate=1.0, steps=uses * samples, delta=1e-5)
        assert spent(sigma, 1.0, samples, uses) == pytest.approx(plain, rel=1e-3)
        assert spent(sigma, 1.0, samples, uses) <= plain


def test_the_theorem_by_hand() -> None:
    """Order 2 at rate 0.1 and divergence 0.5 at order 2: log(1 + 0.01 * 4 (e^0.5 - 1))."""
    expected = math.log1p(0.01 * 4 * math.expm1(0.5))
    assert amplified(2, lambda order: order / 4, rate=0.1) == pytest.approx(expected)


def test_the_third_order_by_hand() -> None:
    """Order 3 at rate 0.1 with divergences 0.5 and 0.75: 3 0.01 4 (e^0.5 - 1) + 0.001 2 e^(2 0.75)."""
    expected = math.log1p(3 * 0.01 * 4 * math.expm1(0.5) + 0.001 * 2 * math.exp(1.5)) / 2
    assert amplified(3, lambda order: order / 4, rate=0.1) == pytest.approx(expected)


def test_sampling_never_costs_privacy() -> None:
    for rate in (0.01, 0.5, 0.99):
        for order in (2, 5, 64):
            assert amplified(order, lambda o: 1.5 * o, rate=rate) <= 1.5 * order


def test_more_noise_fewer_samples_and_smaller_shares_are_more_private() -> None:
    assert np.all(np.diff([spent(4.0, rate, 10) for rate in (0.01, 0.1, 0.5, 1.0)]) >= 0)
    assert np.all(np.diff([spent(4.0, 0.1, samples) for samples in (1, 10, 100)]) > 0)
    assert np.all(np.diff([spent(sigma, 0.1, 10) for sigma in (8.0, 4.0, 2.0)]) > 0)
    assert spent(4.0, 0.1, 10, uses=3) > spent(4.0, 0.1, 10)


def test_it_promises_less_than_poisson_sampling_at_the_same_rate() -> None:
    assert spent(2.0, 0.01, 100) > 5 * epsilon(noise_multiplier=2.0, sample_rate=0.01, steps=100, delta=1e-5)


def test_no_noise_is_no_privacy_and_no_sample_costs_none() -> None:
    assert spent(0.0, 0.1, 5) == math.inf
    assert spent(1.0, 0.1, 0) == 0
