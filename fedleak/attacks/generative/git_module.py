"""Module-GIT: a generator that walks the leaked model's modules backwards."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from fedleak.attacks.generative.base import GenerativeAttack, TargetShape
from fedleak.attacks.generative.features import GradientFeatures
from fedleak.attacks.generative.git_coarse import make_plan, mlp_walk
from fedleak.attacks.layers.graph import LayerGraph


class GitModule(GenerativeAttack):
    """Coarse-GIT with one MLP per module of the leaked model (Chen & Liu 2025, arXiv 2505.20026, Eq. 4 and 5).

    A module lies between two points through which everything passes: a residual block, an attention with its
    shortcut, a patch embedding; in a chain every layer is one, and nothing differs from Coarse-GIT. The MLP of a module
    takes the gradients of all parameters in it and in the module that it feeds, and the estimate of its output.
    """

    solves_output_layer: ClassVar[bool] = True
    stream: ClassVar[str] = "module_git"

    kind: Literal["git_module"] = "git_module"
    hidden: int | None = Field(default=None, ge=1)
    """Hidden width of every MLP; chosen to come near ``parameters`` unless given."""

    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """One MLP per module of the leaked model's graph."""
        plan = make_plan(graph, graph.module_steps(), features, target, widest=self.max_layer_features)
        return mlp_walk(plan, target, parameters=self.parameters, hidden=self.hidden, dropout=self.dropout)
