"""The function that inversion minimises, for many trials side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from fedleak.attacks.inversion.decoders import Decoding
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.factors import Gradient, WideLayers, factored_gradient, wide_layers
from fedleak.attacks.inversion.priors import Priors, group_consistency, image_prior
from fedleak.attacks.replay import LocalSteps, loss_gradient, replay
from fedleak.client.postprocess.base import PostProcess
from fedleak.examples import InputShape
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tensors import Tensors


class BroadcastTensors(NamedTuple):
    """What all trials have in common.

    Attributes:
        parameters, buffers: of the broadcast model.
        box: ``low`` and ``high`` ``(C, 1, 1)`` in normalised space; empty without a constraint.
    """

    parameters: Tensors
    buffers: Tensors
    box: Tensors = {}


class TrialTensors(NamedTuple):
    """What belongs to each trial, with the trial for a first dimension.

    Attributes:
        target: the shared update, ``(T, *shape)``.
        mask: of its coordinates, ``(T, *shape)``: zero, or what they are worth; empty without one.
        labels: ``soft`` targets ``(T, B, K)``; empty where labels are searched for, too.
        consensus: ``images`` ``(T, B, C, H, W)`` of the group; empty without a group prior.
        statistics: of the victim's batch at each normalisation layer, ``(T, C)``; empty where unknown.
    """

    target: Tensors
    mask: Tensors = {}
    labels: Tensors = {}
    consensus: Tensors = {}
    statistics: Tensors = {}


class SearchTensors(NamedTuple):
    """All tensors of a search but its variables."""

    model: BroadcastTensors
    trials: TrialTensors

    def of(self, trial: int) -> SearchTensors:
        """Those of one trial alone."""
        some = slice(trial, trial + 1)
        own = ({name: tensor[some] for name, tensor in tensors.items()} for tensors in self.trials)
        return self._replace(trials=TrialTensors(*own))

    def with_consensus(self, images: Tensor) -> SearchTensors:
        """The same with the consensus ``(T, B, C, H, W)`` of each trial's group."""
        return self._replace(trials=self.trials._replace(consensus={"images": images}))


def each_trial(variables: Tensors) -> Iterator[Tensors]:
    """Variables ``(T, ...)`` one trial at a time."""
    return ({name: value[i] for name, value in variables.items()} for i in range(len(variables["code"])))


@dataclass(frozen=True)
class Objective:
    """Distance plus priors of trial variables: ``code`` ``(T, B, ...)``, and ``labels`` ``(T, B, K)`` where
    they are searched for, too.

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
    """What trial updates pass through, as the client's own did."""
    factored: bool = True
    """Leave gradients of wide layers as factors where that can be; it cannot be compiled."""
    task: LearningTask = CLASSIFICATION
    """What the network is trained for."""

    def value_and_gradient(self, variables: Tensors, tensors: SearchTensors) -> tuple[Tensors, Tensor, Tensor]:
        """Gradient of the summed objective (trials do not mix); objective and matching loss ``(T,)`` of each trial."""

        def summed(point: Tensors) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            matching, prior = self.over_trials(point, tensors)
            total = matching + prior
            if tensors.trials.consensus:
                images = torch.stack([self.decoder.images(own, self.shape) for own in each_trial(point)])
                total = total + self.priors.group * group_consistency(images, tensors.trials.consensus["images"])
            return total.sum(), (total, matching)

        self.wide_layers(variables["code"].shape[1])  # found out and remembered here, where nothing is transformed yet
        gradient, (total, matching) = grad(summed, has_aux=True)(variables)
        return gradient, total, matching

    def over_trials(self, variables: Tensors, tensors: SearchTensors) -> tuple[Tensor, Tensor]:
        """Matching loss and image prior of every trial, ``(T,)`` each."""
        layers = self.wide_layers(variables["code"].shape[1])
        own = tensors.trials._replace(consensus={})  # of the group, not of a trial

        def one(point: Tensors, trial: TrialTensors) -> tuple[Tensor, Tensor]:
            return self._one(point, trial, tensors.model, layers)

        if len(variables["code"]) > 1:
            return vmap(one)(variables, own)
        alone = TrialTensors(*({name: value[0] for name, value in field.items()} for field in own))
        matching, prior = one({name: value[0] for name, value in variables.items()}, alone)
        return matching[None], prior[None]

    def _one(
        self, point: Tensors, trial: TrialTensors, model: BroadcastTensors, layers: WideLayers
    ) -> tuple[Tensor, Tensor]:
        images = self.decoder.images(point, self.shape)
        soft = trial.labels["soft"] if trial.labels else self.task.relaxed(point["labels"])
        if self.steps is None and not self.postprocessing:
            matching = self.distance(self._gradient(layers, model, images, soft), trial.target, trial.mask)
        else:
            update = replay(self.module, model.parameters, model.buffers, images, soft, self.steps, task=self.task)
            for step in self.postprocessing:
                update = step.surrogate(update, shared=trial.target)
            matching = self.distance(update, trial.target, trial.mask)
        prior = image_prior(self.priors, self.module, model.parameters, model.buffers, images, trial.statistics)
        return matching, prior

    def wide_layers(self, images: int) -> WideLayers:
        """Layers whose gradients need not be written out for a batch of so many ``images``; none where all must be."""
        whole = self.steps is None and not self.postprocessing and self.distance.top_share == 1
        usual = self.task == CLASSIFICATION  # the trial that finds such layers is made with its loss
        if not (self.factored and whole and usual and self.distance.is_scale_free):
            return {}
        return wide_layers(self.module, self.shape, images)

    def _gradient(self, layers: WideLayers, model: BroadcastTensors, images: Tensor, soft: Tensor) -> Gradient:
        """Of the parameters that the distance looks at."""
        names = self.distance.selected(list(model.parameters))
        weights = {name: model.parameters[name] for name in names}
        others = {name: weight for name, weight in model.parameters.items() if name not in weights}
        constants = model.buffers | others
        if not layers:
            return {**loss_gradient(self.module, weights, constants, images, soft, task=self.task)}
        return factored_gradient(self.module, weights, constants, images, soft, layers)
