"""Saved updates in files, as observations of a federation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedleak.audit.files import part, plain_tensors, read_tensors
from fedleak.audit.observed import Observation, ReturnedKind, TrueBatch
from fedleak.errors import InputError
from fedleak.progress import Progress

ROUND, CLIENT = re.compile(r"round[-_]?(\d{1,6})", re.IGNORECASE), re.compile(r"client[-_]?(\d{1,6})", re.IGNORECASE)
KINDS: tuple[ReturnedKind, ...] = ("gradient", "delta", "weights")


@dataclass(frozen=True)
class SavedUpdates:
    """A user's files.

    Attributes:
        updates: one file for each update: tensors, or weights ``before`` and ``after``.
        kind: what the tensors are; None: only pairs are given.
        broadcast: the weights on which all updates were computed; None: only pairs are given.
        truth: images and labels behind each update, in the order of ``updates``; or none.
        samples: number of images behind each update; None: as many as its truth has.
    """

    updates: Sequence[Path]
    kind: ReturnedKind | None = None
    broadcast: Path | None = None
    truth: Sequence[Path] = ()
    samples: int | None = None

    def observations(self, progress: Progress) -> Iterator[Observation]:
        """One for each file, read when it is asked for.

        Raises:
            InputError: naming the file, what it holds and what is needed.
        """
        if not self.updates:
            raise InputError("--updates", None, "expected at least one file")
        if self.truth and len(self.truth) != len(self.updates):
            found = f"{len(self.truth)} files"
            raise InputError("--truth", found, f"expected one for each of {len(self.updates)} updates, in their order")
        if self.samples is None and not self.truth:
            raise InputError("--samples", None, "expected the number of images behind each update")
        broadcast = None
        if self.broadcast is not None:
            content = read_tensors(self.broadcast, option="--broadcast")
            broadcast = plain_tensors(content, option="--broadcast", path=self.broadcast)
        for place, (path, (number, client)) in enumerate(zip(self.updates, self._places(progress), strict=True)):
            sent, returned, kind = self._tensors(path, broadcast)
            truth = read_batch(self.truth[place], option="--truth") if self.truth else None
            samples = self.samples or (len(truth.labels) if truth is not None else None)
            yield Observation(
                number, client, sent, returned, kind, samples=samples, truth=truth, origin=f"--updates {path}"
            )

    def _places(self, progress: Progress) -> list[tuple[int, int]]:
        """Round and client of each file: as its name says, if all say it; otherwise clients of round 1."""
        found = [(ROUND.search(path.stem), CLIENT.search(path.stem)) for path in self.updates]
        named = [(int(r[1]) if r else 1, int(c[1])) for r, c in found if c]
        if len(named) == len(found) and min(number for number, _ in named) >= 1:
            progress.say("rounds and clients are those in the names of the files")
            return named
        return [(1, client) for client in range(len(found))]

    def _tensors(self, path: Path, broadcast: Any) -> tuple[Any, Any, ReturnedKind]:
        """What was sent and what came back, and what that is."""
        content = read_tensors(path, option="--updates")
        before, after = part(content, "before"), part(content, "after")
        if before is not None and after is not None:
            both = [plain_tensors(each, option="--updates", path=path) for each in (before, after)]
            return both[0], both[1], "weights"
        if before is not None or after is not None:
            found, other = ("before", "after") if before is not None else ("after", "before")
            raise InputError("--updates", str(path), f"it holds weights {found!r} training, but none {other!r}")
        returned = plain_tensors(content, option="--updates", path=path)
        if self.kind is None:
            allowed = "it holds no pair of 'before' and 'after': say what it is with --kind gradient, delta or weights"
            raise InputError("--updates", str(path), allowed)
        if broadcast is None:
            allowed = (
                f"the weights on which the {self.kind} in {path} was computed are needed, because attacks replay the "
                "client's steps from there: give the file of model.state_dict()"
            )
            raise InputError("--broadcast", None, allowed)
        return broadcast, returned, self.kind


def read_batch(path: Path, *, option: str) -> TrueBatch:
    """``images`` and ``labels`` in a file.

    Raises:
        InputError: if it holds no such arrays.
    """
    content = read_tensors(path, option=option)
    images, labels = part(content, "images"), part(content, "labels")
    if images is None or labels is None:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(option, str(path), f"it holds {found}; expected 'images' (N, C, H, W) and 'labels' (N,)")
    return TrueBatch(*(each if hasattr(each, "shape") else np.asarray(each) for each in (images, labels)))
