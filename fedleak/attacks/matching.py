"""Matching of estimated to true images, because an update does not reveal the order of images in its batch."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def pairwise_squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference between all pairs of images of ``first`` ``(N, A, ...)`` and ``second`` ``(N, B, ...)``.

    Returns:
        ``(N, A, B)``.
    """
    a, b = first.flatten(2), second.flatten(2)
    squares = a.square().mean(2)[:, :, None] + b.square().mean(2)[:, None, :]
    return squares - 2 * torch.bmm(a, b.transpose(1, 2)) / a.shape[2]


def best_permutation(estimate: Tensor, target: Tensor) -> Tensor:
    """For each batch, the index of the estimate matched to each target, ``(N, B)``, of least total squared error."""
    count = target.shape[1]
    if count == 1:
        return torch.zeros(len(target), 1, dtype=torch.int64, device=target.device)
    # A diverged estimate has no best order; its loss must still be NaN, so only the cost is cleaned.
    cost = pairwise_squared_distance(target.detach(), estimate.detach()).nan_to_num()
    rows = [linear_sum_assignment(matrix)[1] for matrix in cost.cpu().numpy()]
    return torch.from_numpy(np.stack(rows)).to(target.device, torch.int64)


def permutation_invariant_mse(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean squared error under the best order within each batch; both ``(N, B, C, H, W)`` -> scalar.

    Learning to Invert (Wu et al. 2023, UAI), section 4.2.
    """
    order = best_permutation(estimate, target)
    chosen = torch.gather(estimate.flatten(2), 1, order[:, :, None].expand(-1, -1, estimate[0, 0].numel()))
    return (chosen - target.flatten(2)).square().mean()
