"""Estimation of a client's post-processing from one of its updates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.gradient_masking import GradientMasking
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.random_k import RandomK
from fedleak.client.postprocess.selection import kept_count
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.client.postprocess.top_k import TopK
from fedleak.client.postprocess.uniform_quantisation import UniformQuantisation

Steps = tuple[PostProcess, ...]

ENOUGH = 8
"""Smallest number of nonzero values for which a tensor is tested for a quantisation grid."""
LOWEST_LEVEL = 256
"""Upper bound of a tensor's smallest magnitude, in steps of its grid."""
SCATTERED = 0.02
"""Fraction of zeros in live columns of the last layer from which they are attributed to the client."""
NO_GAP = 0.1
"""If the smallest magnitude kept is below this fraction of the median, the selection was not by magnitude."""
NOISE_FLOOR = 1e-4
"""Bound of the sum of the last layer's gradient, relative to its size; rounding errors are 1,000 times smaller."""


def estimated_postprocessing(update: Update) -> Steps:
    """Steps that explain the values of an update; empty if it looks like an unprocessed gradient (our own rules).

    Steps can hide each other: a quantiser hides all other steps, a sparsifier or clipping hides noise, and clipping by
    the norm is never visible. QSGD scaled by the largest magnitude looks like uniform quantisation with one more bit.
    The bits of QSGD are the fewest that reach the highest level seen; the share of a sparsifier is the fraction of
    nonzero values.

    Args:
        update: gradients or weight deltas of cross-entropy, name -> tensor, as shared.
    """
    values = {name: tensor for name, tensor in update.items() if tensor.is_floating_point() and tensor.numel()}
    rest = {name: tensor for name, tensor in values.items() if bool((tensor != 0).any())}
    if not rest:
        return ()
    omitted = tuple(name for name in values if name not in rest)
    masked: Steps = (GradientMasking(layers=omitted),) if omitted else ()
    return masked + (_quantiser(rest) or _sparsifier(rest) + _clipping(rest) or _noise(rest))


def _quantiser(update: Update) -> Steps:
    """A quantiser, if all magnitudes of a tensor are multiples of one step."""
    seen = [tensor for tensor in update.values() if int((tensor != 0).sum()) >= ENOUGH]
    levels = {_highest_level(tensor) for tensor in seen}
    if not levels or 0 in levels:
        return ()
    highest = max(levels)
    if highest == 1 and _scattered_zeros(update) < SCATTERED:
        ones = all(bool((tensor.abs() == 1).logical_or(tensor == 0).all()) for tensor in seen)
        return (SignSgd(scale="none" if ones else "mean"),)
    bits = math.log2(highest + 1)
    if highest > 1 and bits.is_integer() and levels == {highest}:
        return (UniformQuantisation(bits=int(bits) + 1),)
    fitting = (Qsgd.model_validate({"bits": bits}) for bits in (1, 2, 3, 4, 8) if 2**bits > highest)
    return tuple(fitting)[:1]


def _highest_level(tensor: Tensor) -> int:
    """The largest magnitude in steps of the grid; 0 if there is no grid."""
    magnitudes = tensor[tensor != 0].abs().double()
    relative = magnitudes / magnitudes.min()
    some = relative[:: math.ceil(len(relative) / 64)]
    lowest = torch.arange(1, LOWEST_LEVEL + 1)
    fitting = lowest[_whole(some * lowest[:, None]).all(dim=1)]
    if not len(fitting) or not _whole(relative * fitting[0]).all():
        return 0
    return int((relative.max() * fitting[0]).round())


def _whole(levels: Tensor) -> Tensor:
    """Mask of the values that are integers, up to single precision."""
    return (levels - levels.round()).abs() <= 1e-4 + 1e-6 * levels


def _sparsifier(update: Update) -> Steps:
    """A sparsifier, if the last layer has zeros that an unprocessed gradient would not have."""
    if _scattered_zeros(update) < SCATTERED:
        return ()
    counts = {name: int((tensor != 0).sum()) for name, tensor in update.items()}
    share = sum(counts.values()) / sum(tensor.numel() for tensor in update.values())
    alike = all(abs(counts[n] - kept_count(share, t.numel())) <= 1 + 0.02 * counts[n] for n, t in update.items())
    most = update[max(counts, key=counts.__getitem__)]
    kept = most[most != 0].abs()
    kind = RandomK if float(kept.min()) < NO_GAP * float(kept.median()) else TopK
    return (kind.model_validate({"share": share, "scope": "tensor" if alike else "global"}),)


def _clipping(update: Update) -> Steps:
    """Clipping, if more than two values share the largest magnitude."""
    largest = max(float(tensor.abs().max()) for tensor in update.values())
    many = sum(int((tensor.abs() == largest).sum()) for tensor in update.values())
    return (ElementwiseClipping(bound=largest),) if many > 2 else ()


def _noise(update: Update) -> Steps:
    """Gaussian noise, if the gradient of the last layer does not sum to zero over the classes.

    Without noise the sum is zero for any images. Sums of ``K`` noisy values have ``K`` times their variance. Whether
    the noise is Gaussian or relative is not visible.
    """
    last = _last_matrix(update)
    if last is None:
        return ()
    std = float(last.sum(dim=0).square().mean() / len(last)) ** 0.5
    return (GaussianNoise(std=std),) if std > NOISE_FLOOR * float(last.square().mean()) ** 0.5 else ()


def _scattered_zeros(update: Update) -> float:
    """Fraction of zeros in the last layer, except for dead inputs.

    An unprocessed gradient has none, because no class has probability zero.
    """
    last = _last_matrix(update)
    if last is None:
        return 0.0
    alive = last[:, (last != 0).any(dim=0)]
    return float((alive == 0).double().mean())


def _last_matrix(update: Mapping[str, Tensor]) -> Tensor | None:
    matrices = [tensor for tensor in update.values() if tensor.ndim == 2]
    return matrices[-1].double() if matrices else None
