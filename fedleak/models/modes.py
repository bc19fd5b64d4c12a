"""Training mode of a network, separately for normalisation and for dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm

NORMALISATION = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, _SpectralNorm)
"""Layers that use other statistics in training than in evaluation, or update an estimate in training."""


@contextmanager
def in_mode(module: nn.Module, *, normalisation: bool, dropout: bool) -> Iterator[None]:
    """Put ``module`` into a mode inside the block.

    Args:
        module: its own ``train`` method is respected, for example one that keeps some layers in evaluation mode.
        normalisation: batch and instance normalisation in training mode.
        dropout: everything else in training mode: dropout, stochastic depth, and modules that read ``self.training``.
    """
    before = [(layer, layer.training) for layer in module.modules()]
    set_mode(module, normalisation=normalisation, dropout=dropout)
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training


def set_mode(module: nn.Module, *, normalisation: bool, dropout: bool) -> None:
    """As ``in_mode``, for good."""
    module.train(normalisation or dropout)
    for layer in module.modules():
        if not (normalisation if isinstance(layer, NORMALISATION) else dropout):
            layer.training = False
