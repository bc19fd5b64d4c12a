"""One update to invert, and how trial updates are made to compare with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fedleak.attacks.inversion.knowledge import InversionKnowledge
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.replay import LocalSteps, loss_gradient, replica, split_state
from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.errors import AttackFailedError
from fedleak.threat import TrainingDetails


@dataclass(frozen=True)
class Problem:
    """One update to invert.

    Attributes:
        known: what the attack was given.
        steps: local training through which trial images are taken; None for one gradient.
        postprocessing: what trial updates pass through, in order.
    """

    known: InversionKnowledge
    steps: LocalSteps | None = None
    postprocessing: tuple[PostProcess, ...] = ()

    @property
    def labels(self) -> Tensor | None:
        """``(B,)``; None where they are searched for together with the images."""
        return self.known.labels.labels if self.known.labels is not None else None

    @property
    def knows_size(self) -> bool:
        """Whether trial updates come out as long as the client's: a delta of unknown local steps is a direction."""
        return self.known.update.protocol != "fedavg" or self.steps is not None

    @cached_property
    def samples(self) -> int:
        """Images behind the update.

        Raises:
            AttackFailedError: if neither the labels nor the client say how many.
        """
        count = len(self.labels) if self.labels is not None else self.known.update.samples
        if count is None:
            raise AttackFailedError("the client does not say how many images the update comes from")
        return count

    @property
    def like(self) -> Tensor:
        """A tensor of the update, whose dtype and device computation follows."""
        return next(iter(self.known.update.tensors.values()))

    @property
    def device(self) -> torch.device:
        """Where the update lies."""
        return self.like.device


def make_problem(known: InversionKnowledge, guess: LocalTrainingGuess | None) -> Problem:
    """The problem behind an update; local steps are those that were granted, or else guessed.

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
        steps = LocalSteps(training.local_learning_rate, known.order.batches, sgd=training.sgd)
    else:
        steps = guess.steps(samples, estimated_distance(known, problem.labels) if guess.is_estimated else 0.0)
    if known.update.summed and any(len(one.batches) > 1 for one in steps.every):
        clients = len(known.update.summed)
        raise AttackFailedError(
            f"the local steps of {clients} clients cannot be unrolled from the sum of their updates"
        )
    return replace(problem, steps=replace(steps, frozen=frozen_layers(problem.postprocessing)))


def _as_granted(training: TrainingDetails, guess: LocalTrainingGuess | None) -> LocalTrainingGuess:
    """Every setting as the client has it; of a guess only the number of orders counts."""
    return LocalTrainingGuess(
        learning_rate=training.local_learning_rate,
        epochs=training.local_epochs,
        batch_size=training.batch_size,
        sgd=training.sgd,
        orders=guess.orders if guess is not None else 1,
    )


def estimated_distance(known: InversionKnowledge, labels: Tensor | None) -> float:
    """Learning rate times local steps behind a weight delta, read off the last layer (our own estimator).

    Local steps move the last bias by about minus that distance times its gradient ``p - y``, which depends little on
    the images: ``y`` are the frequencies of ``labels``, ``p`` the broadcast model's probabilities on a grey image.
    Least squares over classes gives ``-<delta, p - y> / ||p - y||^2``, right to first order. Without a last bias the
    last weight has to serve. The direction of its gradient depends on the images, so that norms are compared:
    ``||delta|| / ||g||`` with the gradient ``g`` on grey images, right within a factor. With momentum and a schedule
    steps count as ``LocalSgd.reach`` says.

    Args:
        labels: ``(B,)``.

    Raises:
        AttackFailedError: if there are no labels, or the delta does not point that way.
    """
    if labels is None:
        raise AttackFailedError("a local learning rate can be estimated only from labels")
    name, delta = list(known.update.tensors.items())[-1]
    architecture, task = known.architecture, known.architecture.task
    module = replica(architecture.build(seed=0), train_mode=False).to(delta.device)
    grey = known.pixels.normalisation.apply(delta.new_full((len(labels), *architecture.input_shape), 0.5))
    targets = task.soft_targets(labels, architecture.classes).to(delta)
    gradient = loss_gradient(module, *split_state(module, known.model.state), grey, targets, task=task)[name]
    along = -float((delta * gradient).sum())
    if not along > 0:
        raise AttackFailedError("the delta of the last layer does not point against its expected gradient")
    if delta.ndim == 1:
        return along / float(gradient.square().sum())
    return float(delta.norm() / gradient.norm())
