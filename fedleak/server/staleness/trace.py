"""Measured lags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo

from fedleak import limits
from fedleak.server.staleness.base import Staleness

FOLDER = "folder"
"""Key of the scenario's folder in the validation context."""


def _read(value: Any, info: ValidationInfo) -> Any:
    """The lags; a string names a file with one line of comma-separated numbers per client."""
    if not isinstance(value, str):
        return value
    folder = (info.context or {}).get(FOLDER)
    if folder is None:
        raise ValueError("a file can be named only in a scenario file, and must be in its folder")
    path = (Path(folder) / value).resolve()
    if not path.is_relative_to(Path(folder).resolve()):
        raise ValueError("the file must be in the folder of the scenario")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file cannot be read ({error})") from error
    try:
        return [[int(number) for number in line.split(",")] for line in lines if line.strip()]
    except ValueError:
        raise ValueError("the file must hold whole numbers with commas between them, a line for each client") from None


Course = Annotated[tuple[Annotated[int, Field(ge=0, le=limits.ROUNDS)], ...], Field(min_length=1)]


class Trace(Staleness):
    """Lags from a trace of stragglers: one list per client, one number per round, repeated from the start."""

    kind: Literal["trace"] = "trace"
    lags: Annotated[tuple[Course, ...], Field(min_length=1), BeforeValidator(_read)]
    """Lists, or the name of a text file next to the scenario with one line of comma-separated numbers per client."""

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """The client's entry for the round."""
        course = self.lags[client]
        return course[(round_number - 1) % len(course)]
