"""Initialisation rules that replace the default of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

InitialisationName = Literal["default", "uniform_wide", "kaiming", "xavier"]

LAYERS = (nn.Linear, nn.Conv2d, nn.MultiheadAttention)


def _wide(tensor: Tensor) -> None:
    nn.init.uniform_(tensor, -0.5, 0.5)


def _kaiming(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def _xavier(weight: Tensor) -> None:
    nn.init.xavier_uniform_(weight)


def _zero(bias: Tensor) -> None:
    nn.init.zeros_(bias)


RULES: Mapping[str, tuple[Callable[[Tensor], None], Callable[[Tensor], None]]] = {
    "uniform_wide": (_wide, _wide),
    "kaiming": (_kaiming, _zero),
    "xavier": (_xavier, _zero),
}
"""Name -> functions that initialise weights and biases."""


@torch.no_grad()
def initialise(network: nn.Module, name: InitialisationName) -> None:
    """Reinitialise weights and biases of every linear, convolutional and attention layer in place.

    Args:
        network: its normalisation layers, tokens and embeddings are not changed.
        name: ``default`` changes nothing; ``uniform_wide`` draws weights and biases from U(-0.5, 0.5) (DLG, Zhu et
            al. 2019, arXiv 1906.08935); ``kaiming`` weights from N(0, 2 / fan_in) (He et al. 2015, arXiv 1502.01852)
            and ``xavier`` from U(-a, a) with ``a^2 = 6 / (fan_in + fan_out)`` (Glorot & Bengio 2010), both with biases
            of zero.
    """
    if name == "default":
        return
    weight, bias = RULES[name]
    for layer in network.modules():
        if isinstance(layer, LAYERS):
            for parameter in layer.parameters(recurse=False):
                (weight if parameter.ndim > 1 else bias)(parameter)
