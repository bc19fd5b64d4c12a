"""Coarse-GIT: a generator that walks the leaked model's layers backwards."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.attacks.generative.base import GenerativeAttack, TargetShape, integer_root
from fedleak.attacks.generative.chain import ChainLayer
from fedleak.attacks.generative.features import GradientFeatures


class CoarseGit(GenerativeAttack):
    """Coarse Gradient Inversion Transcript: a shallow MLP per leaked layer (Chen & Liu 2025, arXiv 2505.20026).

    From the last layer to the first, ``a_{i-1} = h_i(G_{W_i}, G_{W_{i+1}}, a_i)``: the MLP ``h_i`` stands for the
    right-hand side of their Eq. 3 and takes everything that stands there. ``a_L`` is the gradient of the last bias,
    or is estimated from the gradient of the last weight where there is none; ``a_0`` are the images. Trained end to
    end on the images alone.
    """

    kind: Literal["coarse_git"] = "coarse_git"
    hidden: int | None = Field(default=None, ge=1)
    """Hidden width of every ``h_i``; chosen to come near ``parameters`` unless given."""

    def network(self, layers: tuple[ChainLayer, ...], features: GradientFeatures, target: TargetShape) -> nn.Module:
        """Derived from the traced chain."""
        shapes = _step_shapes(layers, features.widths, target)
        per_hidden = sum(inputs + outputs + 3 for inputs, outputs in shapes)
        hidden = self.hidden or integer_root(0, per_hidden, self.parameters)
        return CoarseGitNetwork(layers, features.widths, target, hidden=hidden, dropout=self.dropout)


def _bootstrap_width(layers: tuple[ChainLayer, ...]) -> int:
    return math.prod(layers[-1].output_shape)


def _step_shapes(layers: tuple[ChainLayer, ...], widths: list[int], target: TargetShape) -> list[tuple[int, int]]:
    """Inputs and outputs of each ``h_i``, in the order of the layers."""
    shapes = []
    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        above = (
            _bootstrap_width(layers) if last else widths[i + 1] + target.images * math.prod(layers[i + 1].input_shape)
        )
        shapes.append((widths[i] + above, target.images * math.prod(layer.input_shape)))
    return shapes


class CoarseGitNetwork(nn.Module):
    """The generator.

    Args:
        layers: of the leaked model, first to last.
        widths: features of each layer's gradient.
        target: shape of the output.
        hidden: hidden width of every ``h_i``.
        dropout: on the features.
    """

    def __init__(
        self,
        layers: tuple[ChainLayer, ...],
        widths: list[int],
        target: TargetShape,
        *,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self._widths = widths
        self._shape = (target.images, *target.image)
        self.dropout = nn.Dropout(dropout)
        classes = _bootstrap_width(layers)
        self._has_bias = layers[-1].bias is not None
        # The last layer's parameters are laid out weight first, bias last; folded layers keep no such order.
        self._bias_kept = self._has_bias and widths[-1] == math.prod(layers[-1].input_shape) * classes + classes
        self._classes = classes
        self.bootstrap = nn.Identity() if self._bias_kept else _mlp(widths[-1], hidden, classes)
        self.steps = nn.ModuleList(
            _mlp(inputs, hidden, outputs) for inputs, outputs in _step_shapes(layers, widths, target)
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(n, F)`` -> ``(n, B, C, H, W)``."""
        gradients = list(self.dropout(features).split(self._widths, dim=1))
        bias = features[:, -self._classes :]
        estimate = bias if self._bias_kept else self.bootstrap(gradients[-1])
        for i in reversed(range(len(self.steps))):
            above = gradients[i + 1 : i + 2]
            estimate = self.steps[i](torch.cat([gradients[i], *above, estimate], dim=1))
        return torch.sigmoid(estimate).reshape(len(features), *self._shape)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs))
