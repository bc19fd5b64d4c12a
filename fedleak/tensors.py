"""Tensors by name: parameters, buffers, gradients, weight deltas."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Tensors = dict[str, Tensor]
"""Of one's own."""
NamedTensors = Mapping[str, Tensor]
"""To read only."""
