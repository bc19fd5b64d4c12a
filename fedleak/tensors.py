"""Tensors by name: parameters, buffers, gradients, weight deltas."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Tensors = dict[str, Tensor]
"""Mutable mapping, owned by the holder."""
NamedTensors = Mapping[str, Tensor]
"""Read-only mapping."""
