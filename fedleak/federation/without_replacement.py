"""Renyi differential privacy of mechanisms on fixed-size samples drawn without replacement.

Opacus accounts for Poisson samples only, whose privacy fixed-size batches do not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, logsumexp

LARGEST_ORDER = 256


def amplified(order: int, divergence: Callable[[int], float], *, rate: float) -> float:
    """Renyi divergence of a mechanism on a sample of a fixed size, for data sets that differ in one replaced element.

    Wang, Balle & Kasiviswanathan 2019 (arXiv 1808.00087, theorem 9, without a bound on the divergence at infinity),
    or the divergence without amplification if that is smaller.

    Args:
        order: at least 2.
        divergence: order -> Renyi divergence of the mechanism on samples that differ in one replaced element.
        rate: size of the sample over size of the data set, in (0, 1].
    """
    own = divergence(order)
    if rate >= 1:
        return own
    second = divergence(2)
    # min(4 (e^second - 1), 2 e^second), without overflow
    first = math.log(4 * math.expm1(second)) if second < math.log(2) else math.log(2) + second
    terms = [0.0, _log_binomial(order, 2) + 2 * math.log(rate) + first]
    terms += [
        math.log(2) + _log_binomial(order, j) + j * math.log(rate) + (j - 1) * divergence(j)
        for j in range(3, order + 1)
    ]
    return min(own, float(logsumexp(terms)) / (order - 1))


def _log_binomial(n: int, k: int) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def epsilon_without_replacement(
    *, noise_multiplier: float, rate: float, uses: int, samples: int, delta: float
) -> float:
    """Epsilon at ``delta`` for replacing one element, after mechanisms on ``samples`` independent fixed-size samples.

    A mechanism adds Gaussian noise ``uses`` times to sums in which the element takes part, such as the mini-batches of
    as many epochs. Replacing a clipped element moves a sum by up to twice the clipping bound, so every use has the
    divergence ``2 order / noise_multiplier^2``.

    Args:
        noise_multiplier: standard deviation of the noise in units of the clipping bound; 0 gives infinity.
        rate: share of the elements in a sample, in (0, 1].
        uses: uses of an element of the sample.
        samples: number of samples; 0 gives 0.
        delta: probability of failure.
    """
    if samples == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    from opacus.accountants import RDPAccountant
    from opacus.accountants.analysis.rdp import get_privacy_spent

    def divergence(order: float) -> float:
        return 2 * order * uses / noise_multiplier**2

    plain = list(RDPAccountant.DEFAULT_ALPHAS)
    whole = list(range(2, LARGEST_ORDER + 1))
    spent = [samples * divergence(order) for order in plain]
    spent += [samples * amplified(order, divergence, rate=rate) for order in whole]
    found, _ = get_privacy_spent(orders=[*plain, *whole], rdp=np.array(spent), delta=delta)
    return float(found)
