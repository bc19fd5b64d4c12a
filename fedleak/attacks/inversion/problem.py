"""The inversion problem: one update, and the steps that produce comparable trial updates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fedleak.attacks.inversion.knowledge import InversionKnowledge
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.replay import LocalSteps, as_replica, loss_gradient, split_state
from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.optimizer.base import LocalOptimizer
from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.errors import AttackFailedError
from fedleak.threat import TrainingDetails


@dataclass(frozen=True)
class Problem:
    """One update to invert.

    Attributes:
        known: the attack's capabilities.
        steps: local training that is replayed on trial images; None for one gradient.
        postprocessing: steps applied to trial updates, in order.
    """

    known: InversionKnowledge
    steps: LocalSteps | None = None
    postprocessing: tuple[PostProcess, ...] = ()

    @property
    def labels(self) -> Tensor | None:
        """Labels ``(B,)``; None if they are optimised together with the images."""
        return self.known.labels.labels if self.known.labels is not None else None

    @property
    def knows_size(self) -> bool:
        """Whether trial updates have the client's scale; with unknown local steps, only the direction is known."""
        return self.known.update.protocol != "fedavg" or self.steps is not None

    @cached_property
    def samples(self) -> int:
        """Number of images behind the update.

        Raises:
            AttackFailedError: if neither the labels nor the client give the number.
        """
        count = len(self.labels) if self.labels is not None else self.known.update.samples
        if count is None:
            raise AttackFailedError("the client does not report how many images the update comes from")
        return count

    @property
    def like(self) -> Tensor:
        """A tensor of the update, whose dtype and device are used for computation."""
        return next(iter(self.known.update.tensors.values()))

    @property
    def device(self) -> torch.device:
        """Device of the update."""
        return self.like.device


def make_problem(known: InversionKnowledge, guess: LocalTrainingGuess | None) -> Problem:
    """The inversion problem of an update, with local steps from the granted details or else from the guess.

    Raises:
        AttackFailedError: if the number of images is unknown, or a learning rate cannot be estimated.
    """
    problem = Problem(known, postprocessing=known.postprocessing.steps if known.postprocessing is not None else ())
    samples, training = problem.samples, known.training
    if training is not None:
        guess = _as_granted(training, guess)
    if guess is None or known.update.protocol != "fedavg":
        return problem
    if training is not None and known.order is not None:
        steps = LocalSteps(
            training.local_learning_rate, known.order.batches, training.optimizer, proximal_mu=training.proximal_mu
        )
    else:
        steps = guess.steps(samples, estimated_distance(known, problem.labels) if guess.is_estimated else 0.0)
    if known.update.summed and any(len(one.batches) > 1 for one in steps.every):
        clients = len(known.update.summed)
        raise AttackFailedError(
            f"the local steps of {clients} clients cannot be unrolled from the sum of their updates"
        )
    return replace(problem, steps=replace(steps, frozen=frozen_layers(problem.postprocessing)))


def _as_granted(training: TrainingDetails, guess: LocalTrainingGuess | None) -> LocalTrainingGuess:
    """The client's settings; only the number of orders is taken from the guess."""
    rule = training.optimizer
    return LocalTrainingGuess(
        learning_rate=training.local_learning_rate,
        epochs=training.local_epochs,
        batch_size=training.batch_size,
        sgd=rule if isinstance(rule, LocalSgd) else PLAIN_SGD,
        optimizer=rule if isinstance(rule, LocalOptimizer) else None,
        proximal_mu=training.proximal_mu,
        orders=guess.orders if guess is not None else 1,
    )


def estimated_distance(known: InversionKnowledge, labels: Tensor | None) -> float:
    """Learning rate times local steps of a weight delta, estimated from the last layer (our own estimator).

    Local steps move the last bias by about minus this product times its gradient ``p - y``, which depends little on the
    images: ``y`` are the frequencies of ``labels``, ``p`` the broadcast model's probabilities on a grey image. Least
    squares over classes gives ``-<delta, p - y> / ||p - y||^2``, correct to first order. Without a last bias, the last
    weight is used. The direction of its gradient depends on the images, so norms are compared: ``||delta|| / ||g||``
    with the gradient ``g`` on grey images, correct within a factor. With momentum and a schedule, steps are counted as
    in ``LocalSgd.reach``.

    Args:
        labels: ``(B,)``.

    Raises:
        AttackFailedError: if there are no labels, or the delta does not point against the expected gradient.
    """
    if labels is None:
        raise AttackFailedError("estimating a local learning rate needs labels")
    name, delta = list(known.update.tensors.items())[-1]
    architecture, task = known.architecture, known.architecture.task
    module = as_replica(architecture.build(seed=0), train_mode=False).to(delta.device)
    grey = known.pixels.normalisation.apply(delta.new_full((len(labels), *architecture.input_shape), 0.5))
    targets = task.soft_targets(labels, architecture.classes).to(delta)
    gradient = loss_gradient(module, *split_state(module, known.model.state), grey, targets, task=task)[name]
    along = -float((delta * gradient).sum())
    if not along > 0:
        raise AttackFailedError("the delta of the last layer does not point against its expected gradient")
    if delta.ndim == 1:
        return along / float(gradient.square().sum())
    return float(delta.norm() / gradient.norm())
