"""Helpers for attacking updates one at a time or several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Literal

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.errors import AttackFailedError, FedleakError, describe
from fedleak.examples import InputShape
from fedleak.records import log_traceback
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


class CrashError(Exception):
    """Code of an attack or a label inference ended in an error that it does not declare, or with its process."""


@contextmanager
def crashes(log: Path, title: str) -> Iterator[None]:
    """Turn any error of a user's code inside the block into a ``CrashError``, with its traceback in ``log``.

    Errors that fedleak raises on purpose pass, and so does an interruption by the user.
    """
    try:
        yield
    except FedleakError:
        raise
    except (Exception, SystemExit) as error:  # an attack may be a user's own code, which may raise anything
        log_traceback(log, title, error)
        raise CrashError(describe(error)) from error


def failed(update: UpdateRecord, reason: str, seconds: float = 0.0, *, crashed: bool = False) -> Attempt:
    """An update that could not be attacked."""
    return Attempt(row=update.row, seconds=seconds, status="failed", reason=reason, crashed=crashed)


def failed_by(update: UpdateRecord, error: Exception, seconds: float = 0.0) -> Attempt:
    """An update that could not be attacked because of an ``AttackFailedError`` or a ``CrashError``."""
    return failed(update, str(error), seconds, crashed=isinstance(error, CrashError))


def check(reconstruction: Reconstruction, input_shape: InputShape) -> None:
    """Check that a reconstruction has the right shape and is finite.

    Raises:
        TypeError, ValueError: if type or shape are wrong, which is a bug of the attack.
        AttackFailedError: if it is not finite.
    """
    images = reconstruction.images if isinstance(reconstruction, Reconstruction) else None
    if not isinstance(images, torch.Tensor) or images.is_complex():
        raise TypeError(f"expected a Reconstruction with a tensor of images, got {type(reconstruction).__name__}")
    if tuple(images.shape[1:]) != tuple(input_shape) or not len(images):
        raise ValueError(f"reconstruction: expected (B, *{tuple(input_shape)}), got {tuple(images.shape)}")
    if not torch.isfinite(images).all():
        raise AttackFailedError("the reconstruction is not finite")
