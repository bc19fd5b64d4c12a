"""iLRG: instance-wise label restoration from gradients."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.labels.base import output_gradient
from fedleak.attacks.labels.counting import least_squares
from fedleak.attacks.labels.solved import SolvedCounts
from fedleak.errors import AttackFailedError
from fedleak.threat import GlobalModel, SharedUpdate

LARGEST_RATIO = 1e10
"""Bound of an embedding's entries, in case the bias gradient of the class is nearly zero."""


class Ilrg(SolvedCounts):
    """Numbers of images per class from class-wise embeddings: iLRG (Ma et al. 2023, ICLR).

    ``h_j = dL/dW_j / dL/db_j`` approximates the mean input of the last layer over the images of class ``j`` (exact if
    all images have the same input there), ``P_j = softmax(alpha (W h_j + b))`` their expected softmax, and the numbers
    solve ``sum_j n_j (P_j - e_j) = B dL/db``, ``sum_j n_j = B`` by the pseudo-inverse. We round to the nearest integers
    with the right sum in one step; the authors' code rounds first and then corrects the sum. Needs a bias in the last
    layer. Paper: OpenReview FIrQfNSOoTr.
    """

    kind: Literal["ilrg"] = "ilrg"
    alpha: float = Field(default=1.0, gt=0, le=limits.RATE)
    """Factor of the logits; the authors' code also uses 0.01, which gives a nearly uniform softmax."""

    def infer(self, update: SharedUpdate, model: GlobalModel, *, count: int) -> Tensor:
        """Sorted labels ``(count,)``.

        Raises:
            AttackFailedError: if the update does not end with a linear layer with bias, or is not finite.
        """
        weight_gradient, bias_gradient = output_gradient(update)
        if bias_gradient is None:
            raise AttackFailedError("iLRG divides by the gradient of the last layer's bias, which the update lacks")
        weight, bias = (model.state[name] for name in list(update.tensors)[-2:])
        embeddings = class_embeddings(weight_gradient, bias_gradient)
        expected = (self.alpha * (embeddings @ weight.double().T + bias.double())).softmax(dim=1)
        return self.solved(update, least_squares(expected, count), bias_gradient, count)


def class_embeddings(weight: Tensor, bias: Tensor) -> Tensor:
    """``dL/dW_j / dL/db_j`` for every class: ``(K, M)`` and ``(K,)`` -> ``(K, M)``, double precision."""
    smallest = torch.finfo(torch.float32).tiny
    divisor = torch.where(bias.abs() < smallest, torch.full_like(bias, smallest), bias).double()
    return (weight.double() / divisor[:, None]).clamp(-LARGEST_RATIO, LARGEST_RATIO)
