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
from fedleak.attacks.inversion.replay import LocalSteps, Tensors, loss_gradient, replay
from fedleak.client.postprocess.base import PostProcess
from fedleak.models.base import InputShape


class Known(NamedTuple):
    """What the attacker holds, as tensors. ``T`` trials: every restart of every victim is one.

    Attributes:
        parameters, buffers: of the broadcast model, common to all trials.
        target: the shared update, ``(T, *shape)``.
        mask: of its coordinates, ``(T, *shape)``: zero, or what they are worth; empty without one.
        labels: ``probabilities`` ``(T, B, K)``; empty where labels are optimised jointly.
        consensus: ``images`` ``(T, B, C, H, W)`` of the group; empty without a group prior.
        box: ``low`` and ``high`` ``(C, 1, 1)`` in normalised space; empty without a constraint.
        statistics: of the victim's batch at each normalisation layer, ``(T, C)``; empty where unknown.
    """

    parameters: Tensors
    buffers: Tensors
    target: Tensors
    mask: Tensors
    labels: Tensors
    consensus: Tensors
    box: Tensors
    statistics: Tensors = {}

    def of(self, trial: int) -> Known:
        """What is known about one trial."""
        own = (self.target, self.mask, self.labels, self.consensus, self.statistics)
        parts = [{name: tensor[trial : trial + 1] for name, tensor in tensors.items()} for tensors in own]
        target, mask, labels, consensus, statistics = parts
        return self._replace(target=target, mask=mask, labels=labels, consensus=consensus, statistics=statistics)


def each_trial(variables: Tensors) -> Iterator[Tensors]:
    """Variables ``(T, ...)`` one trial at a time."""
    return ({name: value[i] for name, value in variables.items()} for i in range(len(variables["code"])))


@dataclass(frozen=True)
class Objective:
    """Distance plus priors of trial variables: ``code`` ``(T, B, ...)``, and ``logits`` ``(T, B, K)`` where joint.

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
    chain: tuple[PostProcess, ...] = ()
    """What trial updates pass through, as the client's own did."""
    factored: bool = True
    """Leave gradients of wide layers as factors where that can be; it cannot be compiled."""

    def value_and_gradient(self, variables: Tensors, known: Known) -> tuple[Tensors, Tensor, Tensor]:
        """Gradient of the summed objective (trials do not mix); objective and matching loss ``(T,)`` of each trial."""

        def summed(point: Tensors) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            matching, prior = self.over_trials(point, known)
            total = matching + prior
            if known.consensus:
                images = torch.stack([self.decoder.images(own, self.shape) for own in each_trial(point)])
                total = total + self.priors.group * group_consistency(images, known.consensus["images"])
            return total.sum(), (total, matching)

        self.wide_layers(variables["code"].shape[1])  # found out and remembered here, where nothing is transformed yet
        gradient, (total, matching) = grad(summed, has_aux=True)(variables)
        return gradient, total, matching

    def over_trials(self, variables: Tensors, known: Known) -> tuple[Tensor, Tensor]:
        """Matching loss and image prior of every trial, ``(T,)`` each."""
        layers = self.wide_layers(variables["code"].shape[1])

        def one(point: Tensors, *own: Tensors) -> tuple[Tensor, Tensor]:
            return self._one(point, layers, known.parameters, known.buffers, *own)

        own = (variables, known.target, known.mask, known.labels, known.statistics)
        if len(variables["code"]) > 1:
            return vmap(one)(*own)
        matching, prior = one(*({name: value[0] for name, value in tensors.items()} for tensors in own))
        return matching[None], prior[None]

    def _one(
        self,
        point: Tensors,
        layers: WideLayers,
        parameters: Tensors,
        buffers: Tensors,
        target: Tensors,
        mask: Tensors,
        labels: Tensors,
        statistics: Tensors,
    ) -> tuple[Tensor, Tensor]:
        images = self.decoder.images(point, self.shape)
        probabilities = labels["probabilities"] if labels else point["logits"].softmax(dim=-1)
        if self.steps is None and not self.chain:
            gradient = self._gradient(layers, parameters, buffers, images, probabilities)
            matching = self.distance(gradient, target, mask)
        else:
            update = replay(self.module, parameters, buffers, images, probabilities, self.steps)
            for step in self.chain:
                update = step.surrogate(update, shared=target)
            matching = self.distance(update, target, mask)
        return matching, image_prior(self.priors, self.module, parameters, buffers, images, statistics)

    def wide_layers(self, images: int) -> WideLayers:
        """Layers whose gradients need not be written out for a batch of so many ``images``; none where all must be."""
        whole = self.steps is None and not self.chain and self.distance.top_share == 1
        if not (self.factored and whole and self.distance.is_scale_free):
            return {}
        return wide_layers(self.module, self.shape, images)

    def _gradient(
        self, layers: WideLayers, parameters: Tensors, buffers: Tensors, images: Tensor, probabilities: Tensor
    ) -> Gradient:
        """Of the parameters that the distance looks at."""
        names = self.distance.selected(list(parameters))
        weights = {name: parameters[name] for name in names}
        constants = buffers | {name: weight for name, weight in parameters.items() if name not in weights}
        if not layers:
            return {**loss_gradient(self.module, weights, constants, images, probabilities)}
        return factored_gradient(self.module, weights, constants, images, probabilities, layers)
