"""Lags as they were measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo

from fedleak.server.staleness.base import Staleness

FOLDER = "folder"
"""Key of the scenario's folder in the context of a validation."""


def _read(value: Any, info: ValidationInfo) -> Any:
    """The lags, from the file if they are the name of one: a line per client, numbers between commas."""
    if not isinstance(value, str):
        return value
    folder = (info.context or {}).get(FOLDER)
    if folder is None:
        raise ValueError("a file can be named only in a scenario file, in whose folder it lies")
    path = (Path(folder) / value).resolve()
    if not path.is_relative_to(Path(folder).resolve()):
        raise ValueError("the file must lie in the folder of the scenario")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file cannot be read ({error})") from error
    return [line.split(",") for line in lines if line.strip()]


Course = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class Trace(Staleness):
    """Lags out of a trace of stragglers: one list per client, one number per round, from the start again at its end."""

    kind: Literal["trace"] = "trace"
    lags: Annotated[tuple[Course, ...], Field(min_length=1), BeforeValidator(_read)]
    """Or the name of a text file beside the scenario: a line per client, numbers between commas."""

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """The client's entry for the round."""
        course = self.lags[client]
        return course[(round_number - 1) % len(course)]
