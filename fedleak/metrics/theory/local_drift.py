"""Drift of a reconstruction under several local updates."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.theory.base import NotApplicableError, Prediction, Theory
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.transcript.manifest import TrainingRecord


class LocalDrift(Theory):
    """Drift of gradient matching after K local updates (Du et al. 2024, Theorem 4.2), for logistic regression.

    The theorem (arXiv 2404.05403, section 4.1.1 and appendix A ii): an attacker who treats the update of K steps as one
    gradient reconstructs ``x* = x`` only for K = 1; otherwise the error follows from the outputs at the intermediate
    weights. The equations are solved here for two classes and one linear layer without a bias, where they are exact.
    Let ``m = (w_y - w_other) x`` be the margin of the normalised image x. The loss is ``log(1 + exp(-m))``, its
    gradient ``-sigmoid(-m) x`` for the row of the true class (and the opposite for the other), so a local step with
    rate eta raises the margin:

        m_0 = m,    m_{k+1} = m_k + 2 eta sigmoid(-m_k) ||x||^2.

    The client shares ``eta sum_k sigmoid(-m_k) x``: always a multiple of x. An adversary who knows eta and K and treats
    the mean of the K gradients as the gradient at the broadcast weights finds ``x* = s x``, where

        s sigmoid(-s m_0) = 1/K sum_{k<K} sigmoid(-m_k),

    with the error ``x* - x = (s - 1) x``, which grows with every further step, because the margins rise. In the attack
    this is ``local_training: {learning_rate: K * eta, epochs: 1}`` with a squared distance. For ``m_0 > 0``, two
    multiples of x solve the equation. The prediction is the smaller, which a search from grey (``x* = 0``) reaches: for
    K = 1 it is x itself if ``m_0 <= 1.278``; above, another image already has the gradient of x.
    """

    columns: ClassVar[tuple[str, ...]] = ("shrinkage",)

    kind: Literal["local_drift"] = "local_drift"

    def predict(self, leaked: LeakedBatch, training: TrainingRecord, *, generator: torch.Generator) -> Prediction:
        """The drifted image; ``shrinkage`` is s.

        Raises:
            NotApplicableError: for other models, batches of several images, other optimisers.
        """
        if len(leaked.images) > 1:
            raise NotApplicableError(f"it holds for one image, the update has {len(leaked.images)}")
        other = training.local_optimizer or training.proximal_mu or training.dp_sgd
        if other or training.postprocess or LocalSgd.model_validate(training.local_sgd) != PLAIN_SGD:
            raise NotApplicableError("it holds for plain gradient descent without post-processing")
        if leaked.task != CLASSIFICATION:
            raise NotApplicableError("it holds for cross-entropy")
        weight = _two_rows(leaked.module).double()
        image, other = leaked.normalised(leaked.images[0].double()), 1 - int(leaked.labels[0])
        direction = weight[int(leaked.labels[0])] - weight[other]
        margin, size = float(direction @ image.flatten()), float(image.square().sum())
        s = shrinkage(margin, size, rate=training.local_learning_rate, steps=training.local_epochs)
        drifted = leaked.pixels(s * image).to(leaked.images)
        return Prediction(drifted[None], {"shrinkage": s})


TURN = 1.2784645427610738
"""Maximum of ``u sigmoid(-u)``: ``u sigmoid(u) = 1``."""


def shrinkage(margin: float, size: float, *, rate: float, steps: int) -> float:
    """The factor s by which the image shrinks, at most 1.

    Args:
        margin: of the image at the broadcast weights, ``m_0``.
        size: ``||x||^2``.
        rate, steps: eta and K.
    """
    if steps == 1 and margin <= TURN:
        return 1.0
    slopes, current = [], margin
    for _ in range(steps):
        slopes.append(_slope(current))
        current += 2 * rate * slopes[-1] * size
    mean = sum(slopes) / steps
    turn = min(1.0, TURN / margin) if margin > 0 else 1.0
    return float(brentq(lambda s: s * _slope(s * margin) - mean, 0.0, turn, xtol=1e-14))


def _slope(margin: float) -> float:
    return float(torch.sigmoid(torch.tensor(-margin, dtype=torch.float64)))


def _two_rows(module: nn.Module) -> Tensor:
    parameters = list(module.parameters())
    if len(parameters) != 1 or parameters[0].ndim != 2 or len(parameters[0]) != 2:
        raise NotApplicableError("it holds for one linear layer without a bias and two classes")
    return parameters[0].detach()
