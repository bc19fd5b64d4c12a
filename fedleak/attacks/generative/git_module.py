"""Module-GIT: a generator with one step per module of the leaked model, from the last to the first."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from fedleak import limits
from fedleak.attacks.generative.base import GenerativeAttack, TargetShape
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.generative.git_coarse import make_plan, mlp_walk
from fedleak.attacks.layers.graph import LayerGraph


class GitModule(GenerativeAttack):
    """Coarse-GIT with one MLP per module of the leaked model (Chen & Liu 2025, arXiv 2505.20026, Eq. 4 and 5).

    A module lies between two points through which all paths pass: a residual block, an attention with its shortcut, a
    patch embedding. In a chain, every layer is a module, and the attack equals Coarse-GIT. The MLP of a module takes
    the gradients of all parameters in it and in the following module, and the estimate of its output.

    Fails on updates unlike its pairs, as ``git_coarse`` does, and gains nothing over it on networks without modules.
    """

    solves_output_layer: ClassVar[bool] = True
    stream: ClassVar[str] = "module_git"

    kind: Literal["git_module"] = "git_module"
    hidden: int | None = Field(default=None, ge=1, le=limits.WIDTH)
    """Hidden width of every MLP, in units; default: chosen to match ``parameters``."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """One MLP per module of the leaked model's graph."""
        plan = make_plan(graph, graph.module_steps(), features, target, widest=self.max_layer_features)
        return mlp_walk(plan, target, parameters=self.parameters, hidden=self.hidden, dropout=self.dropout)
