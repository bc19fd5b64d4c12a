"""Layout of the named tensors of an update in one flat row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field

from fedleak.transcript.fields import Count, Name


class Slot(BaseModel):
    """One tensor: values ``start`` to ``stop`` of the row, reshaped to ``shape``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Name
    shape: Annotated[tuple[Count, ...], Field(max_length=32)]
    start: Count

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """End of the slice, exclusive."""
        return self.start + self.size


class Layout(BaseModel):
    """The slots of a row, in the order of the model's parameters, without gaps."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    slots: tuple[Slot, ...]

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, torch.Tensor]]) -> Layout:
        """The layout of concatenated ``(name, tensor)`` pairs."""
        slots: list[Slot] = []
        start = 0
        for name, tensor in tensors:
            slots.append(Slot(name=name, shape=tuple(tensor.shape), start=start))
            start += tensor.numel()
        return cls(slots=tuple(slots))

    @property
    def size(self) -> int:
        """Number of values in a row."""
        return self.slots[-1].stop if self.slots else 0

    def flatten(self, tensors: Mapping[str, torch.Tensor], *, batch_dims: int = 0) -> torch.Tensor:
        """Tensors ``(*batch, *shape)`` -> rows ``(*batch, size)``, float32.

        Raises:
            ValueError: if a tensor is missing or has another shape.
        """
        parts = []
        for slot in self.slots:
            tensor = tensors.get(slot.name)
            if tensor is None or tuple(tensor.shape[batch_dims:]) != slot.shape:
                found = None if tensor is None else tuple(tensor.shape[batch_dims:])
                raise ValueError(f"update of {slot.name}: expected shape {slot.shape}, got {found}")
            parts.append(tensor.reshape((*tensor.shape[:batch_dims], slot.size)).to(torch.float32))
        return torch.cat(parts, dim=batch_dims)

    def unflatten(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Rows ``(*batch, size)`` -> named views ``(*batch, *shape)``."""
        return {s.name: rows[..., s.start : s.stop].reshape((*rows.shape[:-1], *s.shape)) for s in self.slots}
