"""Coarse-GIT: a generator that walks the leaked model's layers backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.generative.base import GenerativeAttack, TargetShape, integer_root
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.layers.graph import GeneratorStep, LayerGraph


class GitCoarse(GenerativeAttack):
    """Coarse Gradient Inversion Transcript: a shallow MLP per leaked layer (Chen & Liu 2025, arXiv 2505.20026).

    From the last layer to the first, ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``: the MLP ``h_i`` replaces the
    right-hand side of their Eq. 3 and takes the same inputs; ``a_0`` are the images. An estimate that feeds a shortcut
    also takes the gradients and the estimate at the end of the shortcut (Eq. 11). The recursion starts from the
    gradient of the last bias, which gives the last layer's input in closed form: for one image this is ``a_{L-1}``
    itself, for a batch it is an additional input of ``h_L``. Without a bias, both are estimated from the gradient of
    the last weight. Trained end to end on the loss of the images only.

    Fails on updates unlike its pairs: other images, another model version, post-processing that the pairs did not pass;
    with few pairs it returns little more than the mean image.
    """

    solves_output_layer: ClassVar[bool] = True
    stream: ClassVar[str] = "coarse_git"

    kind: Literal["git_coarse"] = "git_coarse"
    hidden: int | None = Field(default=None, ge=1, le=limits.WIDTH)
    """Hidden width of every ``h_i``, in units; default: chosen to match ``parameters``."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """One ``h`` per point of the leaked model's graph."""
        plan = make_plan(graph, graph.steps(), features, target, widest=self.max_layer_features)
        return mlp_walk(plan, target, parameters=self.parameters, hidden=self.hidden, dropout=self.dropout)


def mlp_walk(
    plan: WalkPlan, target: TargetShape, *, parameters: int, hidden: int | None, dropout: float
) -> GitCoarseNetwork:
    """The generator whose MLPs have ``hidden`` units, or if None as many as match ``parameters``."""
    shapes = [shape for shape in (*plan.shapes, plan.bootstrap) if shape is not None]
    per_hidden = sum(inputs + outputs + 3 for inputs, outputs in shapes)
    fixed = sum(outputs for _, outputs in shapes)  # biases of the outputs
    hidden = hidden or integer_root(0, per_hidden, parameters - fixed)
    return GitCoarseNetwork(plan, target, hidden=hidden, dropout=dropout)


@dataclass(frozen=True)
class WalkPlan:
    """Input and output widths of each part of the generator.

    Attributes:
        widths: features of each layer's gradient, in the order of the graph.
        solved: width of the last layer's input as solved in closed form; 0 if it cannot be solved.
        entering: layers whose outputs form the leaked model's output.
        output: width of that output.
        bias_kept: whether there is one such layer and its last features are its bias, which gives the output.
        bootstrap: inputs and outputs of the MLP that estimates the output; None if the output is known or not used.
        steps: from the image to the point before the output.
        shapes: inputs and outputs of each step's ``h``; None if the closed form already gives the estimate.
    """

    widths: tuple[int, ...]
    solved: int
    entering: tuple[int, ...]
    output: int
    bias_kept: bool
    bootstrap: tuple[int, int] | None
    steps: tuple[GeneratorStep, ...]
    shapes: tuple[tuple[int, int] | None, ...]


def make_plan(
    graph: LayerGraph, steps: tuple[GeneratorStep, ...], features: GradientFeatures, target: TargetShape, *, widest: int
) -> WalkPlan:
    """Plan of a generator with the given steps.

    Args:
        graph, steps: the leaked model, and one step per estimate.
        features: layout of the features.
        target: shape of the output.
        widest: limit on the width of estimates inside the leaked model, in values per image.
    """
    widths = features.widths
    solved = features.output.inputs if features.output else 0
    output = graph.points[-1]
    last = graph.last
    end = len(graph.points) - 1
    unfolded = last is not None and features.layers[output.inputs[0]].bins is None
    bias_kept = last is not None and unfolded and last.bias is not None and last.parameters[-1] == last.bias
    estimates = {s.point: target.images * min(graph.points[s.point].values, widest) for s in steps}
    estimates[0] = target.values
    exact = solved > 0 and target.images == 1 and steps[-1].point > 0 and steps[-1].own == output.inputs
    if exact:
        estimates[steps[-1].point] = solved
    estimates[end] = output.values + solved
    shapes: list[tuple[int, int] | None] = [
        (sum(widths[i] for i in (*s.own, *s.above)) + sum(estimates[e] for e in s.ends), estimates[s.point])
        for s in steps
    ]
    if exact:
        shapes[-1] = None
    entering = sum(widths[i] for i in output.inputs)
    bootstrap = None if bias_kept or exact else (entering, output.values)
    return WalkPlan(tuple(widths), solved, output.inputs, output.values, bias_kept, bootstrap, steps, tuple(shapes))


class GitCoarseNetwork(nn.Module):
    """The generator of Coarse-GIT.

    Args:
        plan: its parts and their widths.
        target: shape of the output.
        hidden: hidden width of every ``h``.
        dropout: on the features.
    """

    def __init__(self, plan: WalkPlan, target: TargetShape, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self._plan = plan
        self._shape = (target.images, *target.image)
        self.dropout = nn.Dropout(dropout)
        self.bootstrap = _mlp(*plan.bootstrap, hidden=hidden) if plan.bootstrap else None
        self.steps = nn.ModuleList(_mlp(*shape, hidden=hidden) for shape in plan.shapes if shape is not None)

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        plan = self._plan
        *gradients, solved = self.dropout(features).split([*plan.widths, plan.solved], dim=1)
        estimates: dict[int, Tensor] = {}
        for i, step in reversed(list(enumerate(plan.steps))):
            if plan.shapes[i] is None:
                estimates[step.point] = solved
                continue
            known = [gradients[layer] for layer in (*step.own, *step.above)]
            for end in step.ends:
                if end not in estimates:  # the leaked model's output
                    estimates[end] = torch.cat([self._output(gradients), solved], dim=1)
                known.append(estimates[end])
            estimates[step.point] = self.steps[i](torch.cat(known, dim=1))
        return torch.sigmoid(estimates[0]).reshape(len(features), *self._shape)

    def _output(self, gradients: list[Tensor]) -> Tensor:
        """The gradient of the last bias, or an estimate from the gradients of the last weights, ``(n, classes)``."""
        plan = self._plan
        if self.bootstrap is None:
            return gradients[plan.entering[0]][:, -plan.output :]
        estimate: Tensor = self.bootstrap(torch.cat([gradients[i] for i in plan.entering], dim=1))
        return estimate


def _mlp(inputs: int, outputs: int, *, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs))
