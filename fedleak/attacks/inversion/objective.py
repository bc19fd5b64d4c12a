"""The objective that inversion minimises, vectorised over trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from fedleak.attacks.inversion.decoders import Decoding
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.dropout import mask_buffers, rate_distance
from fedleak.attacks.inversion.factors import Gradient, WideLayers, factored_gradient, wide_layers
from fedleak.attacks.inversion.priors import Priors, group_consistency, image_prior
from fedleak.attacks.replay import LocalSteps, loss_gradient, replay
from fedleak.client.postprocess.base import PostProcess
from fedleak.examples import InputShape
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors

SURROGATE = "surrogate"
"""Name of the variable that is the position of a surrogate model."""


class BroadcastTensors(NamedTuple):
    """Tensors shared by all trials.

    Attributes:
        parameters, buffers: of the broadcast model.
        box: ``low`` and ``high`` ``(C, 1, 1)`` in normalised space; empty without a constraint.
    """

    parameters: Tensors
    buffers: Tensors
    box: Tensors = {}


class TrialTensors(NamedTuple):
    """Tensors specific to each trial, with the trial as first dimension.

    Attributes:
        target: the shared update, ``(T, *shape)``.
        mask: factors of its coordinates, ``(T, *shape)``: zero or a weight; empty without a mask.
        labels: ``soft`` targets ``(T, B, K)``; empty if labels are optimised too.
        consensus: ``images`` ``(T, B, C, H, W)`` of the group; empty without a group prior.
        statistics: of the victim's batch at each normalisation layer, ``(T, C)``; empty if unknown.
    """

    target: Tensors
    mask: Tensors = {}
    labels: Tensors = {}
    consensus: Tensors = {}
    statistics: Tensors = {}


class SearchTensors(NamedTuple):
    """All tensors of a search except its variables."""

    model: BroadcastTensors
    trials: TrialTensors

    def of(self, trial: int) -> SearchTensors:
        """The tensors of a single trial."""
        some = slice(trial, trial + 1)
        own = ({name: tensor[some] for name, tensor in tensors.items()} for tensors in self.trials)
        return self._replace(trials=TrialTensors(*own))

    def with_consensus(self, images: Tensor) -> SearchTensors:
        """The same with the consensus ``(T, B, C, H, W)`` of each trial's group."""
        return self._replace(trials=self.trials._replace(consensus={"images": images}))


def surrogate(parameters: Tensors, target: Tensors, position: Tensor) -> Tensors:
    """The model between the broadcast one and the one that a client returned (Zhu et al. 2023, arXiv 2306.00127).

    ``w_0 + a (w_T - w_0)``.

    Args:
        parameters: of the broadcast model, ``w_0``.
        target: the weight delta with inverted sign, ``w_0 - w_T``; parameters that are not in it stay.
        position: ``a``, a scalar from 0 to 1.
    """
    return {name: weight - position * target[name] if name in target else weight for name, weight in parameters.items()}


def each_trial(variables: Tensors) -> Iterator[Tensors]:
    """Iterate over the trials of variables ``(T, ...)``."""
    return ({name: value[i] for name, value in variables.items()} for i in range(len(variables["code"])))


@dataclass(frozen=True)
class Objective:
    """Distance plus priors, as a function of the trial variables.

    The variables are ``code`` ``(T, B, ...)`` and, if labels are optimised too, ``labels`` ``(T, B, K)``; if masks of
    dropout are, ``mask.LAYER`` ``(T, B, ...)``; with a surrogate model also ``surrogate`` ``(T,)``, its position
    between the broadcast model, 0, and the returned one, 1.

    Attributes:
        module: as from ``replica``.
        shape: of one image.
        steps: of local training; None for one gradient.
    """

    module: nn.Module
    shape: InputShape
    steps: LocalSteps | None
    distance: Distance
    priors: Priors
    decoder: Decoding
    postprocessing: tuple[PostProcess, ...] = ()
    """The client's post-processing, applied to trial updates."""
    factored: bool = True
    """Keep gradients of wide layers in factored form where possible; this cannot be compiled."""
    parallel: bool = True
    """Run trials in parallel with ``vmap``; False: one after the other, for networks that it refuses."""
    task: LearningTask = CLASSIFICATION
    """Learning task of the network."""
    mask_weight: float | None = None
    """Weight of the distance of the masks' rates; None: dropout is off."""

    def value_and_gradient(self, variables: Tensors, tensors: SearchTensors) -> tuple[Tensors, Tensor, Tensor]:
        """Gradient of the summed objective (trials are independent), and objective and matching loss ``(T,)``."""

        def summed(point: Tensors) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            matching, prior = self.over_trials(point, tensors)
            total = matching + prior
            if tensors.trials.consensus:
                images = torch.stack([self.decoder.images(own, self.shape) for own in each_trial(point)])
                total = total + self.priors.group * group_consistency(images, tensors.trials.consensus["images"])
            return total.sum(), (total, matching)

        self.wide_layers(variables["code"].shape[1])  # determined and cached here, outside of torch.func transforms
        gradient, (total, matching) = grad(summed, has_aux=True)(variables)
        return gradient, total, matching

    def over_trials(self, variables: Tensors, tensors: SearchTensors) -> tuple[Tensor, Tensor]:
        """Matching loss and image prior of every trial, ``(T,)`` each."""
        layers = self.wide_layers(variables["code"].shape[1])
        own = tensors.trials._replace(consensus={})  # belongs to the group, not to a trial

        def one(point: Tensors, trial: TrialTensors) -> tuple[Tensor, Tensor]:
            return self._one(point, trial, tensors.model, layers)

        if self.parallel and len(variables["code"]) > 1:
            return vmap(one)(variables, own)
        each = [
            one(point, TrialTensors(*({name: value[i] for name, value in field.items()} for field in own)))
            for i, point in enumerate(each_trial(variables))
        ]
        matching, prior = zip(*each, strict=True)
        return torch.stack(matching), torch.stack(prior)

    def _one(
        self, point: Tensors, trial: TrialTensors, model: BroadcastTensors, layers: WideLayers
    ) -> tuple[Tensor, Tensor]:
        images = self.decoder.images(point, self.shape)
        model = model._replace(buffers=model.buffers | mask_buffers(point))
        if SURROGATE in point:
            model = model._replace(parameters=surrogate(model.parameters, trial.target, point[SURROGATE]))
        soft = trial.labels["soft"] if trial.labels else self.task.relaxed(point["labels"])
        if self.steps is None and not self.postprocessing:
            matching = self.distance(self._gradient(layers, model, images, soft), trial.target, trial.mask)
        else:
            update = replay(self.module, model.parameters, model.buffers, images, soft, self.steps, task=self.task)
            for step in self.postprocessing:
                update = step.surrogate(update, shared=trial.target)
            matching = self.distance(update, trial.target, trial.mask)
        prior = image_prior(self.priors, self.module, model.parameters, model.buffers, images, trial.statistics)
        if self.mask_weight:
            prior = prior + self.mask_weight * rate_distance(self.module, point)
        return matching, prior

    def wide_layers(self, images: int) -> WideLayers:
        """Layers whose gradients can stay in factored form for a batch of ``images``; empty if this is not possible."""
        whole = self.steps is None and not self.postprocessing and self.distance.top_share == 1
        usual = self.task == CLASSIFICATION  # the test for such layers uses the classification loss
        if not (self.factored and whole and usual and self.distance.is_scale_free):
            return {}
        return wide_layers(self.module, self.shape, images)

    def _gradient(self, layers: WideLayers, model: BroadcastTensors, images: Tensor, soft: Tensor) -> Gradient:
        """Gradient of the parameters that the distance compares."""
        names = self.distance.selected(list(model.parameters))
        weights = {name: model.parameters[name] for name in names}
        others = {name: weight for name, weight in model.parameters.items() if name not in weights}
        constants = model.buffers | others
        if not layers:
            return {**loss_gradient(self.module, weights, constants, images, soft, task=self.task)}
        return factored_gradient(self.module, weights, constants, images, soft, layers)
