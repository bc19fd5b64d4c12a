"""Helpers for attacking updates one at a time or several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.stages.attack.record import Attempt
from fedleak.transcript.manifest import UpdateRecord


def group_by_model(
    updates: Sequence[UpdateRecord], most: int, *, version: Literal["current", "known"]
) -> Iterator[list[UpdateRecord]]:
    """Groups of consecutive updates with one batch size and model version, in equal shares of at most ``most``.

    Args:
        version: whether the attack assumes the current model version or knows the real one.
    """

    def attacked_on(update: UpdateRecord) -> int:
        return update.model_version if version == "known" else update.current_version

    for _, run in groupby(updates, key=lambda update: (attacked_on(update), update.samples)):
        group = list(run)
        share = -(-len(group) // -(-len(group) // most))  # equal shares: a compiled attack is compiled for one size
        yield from (group[start : start + share] for start in range(0, len(group), share))


def failed(update: UpdateRecord, reason: str, seconds: float = 0.0) -> Attempt:
    """An update that could not be attacked."""
    return Attempt(row=update.row, seconds=seconds, status="failed", reason=reason)


def check(reconstruction: Reconstruction, input_shape: InputShape) -> None:
    """Check that a reconstruction has the right shape and is finite.

    Raises:
        ValueError: if the shape is wrong, which is a bug of the attack.
        AttackFailedError: if it is not finite.
    """
    images = reconstruction.images
    if tuple(images.shape[1:]) != tuple(input_shape):
        raise ValueError(f"reconstruction: expected (B, *{tuple(input_shape)}), got {tuple(images.shape)}")
    if not torch.isfinite(images).all():
        raise AttackFailedError("the reconstruction is not finite")
