"""Coarse-GIT: a generator that walks the leaked model's layers backwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.attacks.generative.base import GenerativeAttack, TargetShape, integer_root
from fedleak.attacks.generative.chain import ChainLayer
from fedleak.attacks.generative.features import GradientFeatures


class CoarseGit(GenerativeAttack):
    """Coarse Gradient Inversion Transcript: a shallow MLP per leaked layer (Chen & Liu 2025, arXiv 2505.20026).

    From the last layer to the first, ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``: the MLP ``h_i`` stands for the
    right-hand side of their Eq. 3 and takes everything that stands there; ``a_0`` are the images. It starts from the
    gradient of the last bias, with which the last layer's input is solved in closed form: for one image that is
    ``a_{L-1}`` itself, for a batch it is one more input of ``h_L``. Without a bias both are estimated from the gradient
    of the last weight. Trained end to end on the images alone.
    """

    solves_output_layer: ClassVar[bool] = True

    kind: Literal["coarse_git"] = "coarse_git"
    hidden: int | None = Field(default=None, ge=1)
    """Hidden width of every ``h_i``; chosen to come near ``parameters`` unless given."""

    def network(self, layers: tuple[ChainLayer, ...], features: GradientFeatures, target: TargetShape) -> nn.Module:
        """Derived from the traced chain."""
        plan = _plan(layers, features, target)
        shapes = [shape for shape in (*plan.steps, plan.bootstrap) if shape is not None]
        per_hidden = sum(inputs + outputs + 3 for inputs, outputs in shapes)
        fixed = sum(outputs for _, outputs in shapes)  # biases of the outputs
        hidden = self.hidden or integer_root(0, per_hidden, self.parameters - fixed)
        return CoarseGitNetwork(plan, target, hidden=hidden, dropout=self.dropout)


@dataclass(frozen=True)
class CoarseGitPlan:
    """What goes into and out of each part of the generator.

    Attributes:
        widths: features of each layer's gradient, first layer first.
        classes: width of the leaked model's output.
        solved: width of the last layer's input as solved in closed form; 0 where it cannot be.
        bootstrap: inputs and outputs of the MLP that estimates the output; None where the last bias tells it.
        steps: inputs and outputs of each ``h_i``; None where the closed form leaves nothing to estimate.
    """

    widths: tuple[int, ...]
    classes: int
    solved: int
    bootstrap: tuple[int, int] | None
    steps: tuple[tuple[int, int] | None, ...]


def _plan(layers: tuple[ChainLayer, ...], features: GradientFeatures, target: TargetShape) -> CoarseGitPlan:
    widths = features.widths
    classes = math.prod(layers[-1].output_shape)
    solved = features.output.inputs if features.output else 0
    # The last features are the last bias (weight first, bias last) unless the layer has been folded.
    bias_kept = layers[-1].bias is not None and widths[-1] == math.prod(layers[-1].input_shape) * classes + classes
    outputs = [target.images * math.prod(layer.input_shape) for layer in layers]
    steps: list[tuple[int, int] | None] = [
        (widths[i] + widths[i + 1] + outputs[i + 1], outputs[i]) for i in range(len(layers) - 1)
    ]
    exact = solved > 0 and target.images == 1 and len(layers) > 1
    steps.append(None if exact else (widths[-1] + classes + solved, outputs[-1]))
    bootstrap = None if bias_kept or exact else (widths[-1], classes)
    return CoarseGitPlan(tuple(widths), classes, solved, bootstrap, tuple(steps))


class CoarseGitNetwork(nn.Module):
    """The generator.

    Args:
        plan: widths of its parts.
        target: shape of the output.
        hidden: hidden width of every ``h_i``.
        dropout: on the features.
    """

    def __init__(self, plan: CoarseGitPlan, target: TargetShape, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self._plan = plan
        self._shape = (target.images, *target.image)
        self.dropout = nn.Dropout(dropout)
        self.bootstrap = _mlp(*plan.bootstrap, hidden=hidden) if plan.bootstrap else None
        self.steps = nn.ModuleList(_mlp(*shape, hidden=hidden) for shape in plan.steps if shape is not None)

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        plan = self._plan
        *gradients, solved = self.dropout(features).split([*plan.widths, plan.solved], dim=1)
        estimate = solved
        if plan.steps[-1] is not None:
            bias = gradients[-1][:, -plan.classes :]
            output = bias if self.bootstrap is None else self.bootstrap(gradients[-1])
            estimate = self.steps[-1](torch.cat([gradients[-1], output, solved], dim=1))
        for i in reversed(range(len(plan.widths) - 1)):
            estimate = self.steps[i](torch.cat([gradients[i], gradients[i + 1], estimate], dim=1))
        return torch.sigmoid(estimate).reshape(len(features), *self._shape)


def _mlp(inputs: int, outputs: int, *, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs))
