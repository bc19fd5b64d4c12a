"""JSON records and atomic writes; imports no torch, so that reading results is fast."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict

ENCODED_BYTES = AliasChoices("encoded_bytes", "bytes_per_update")
"""Accepted keys for the encoded size of an update; results written before 0.2 use the second one."""


class Record(BaseModel):
    """A frozen JSON object; unknown keys are errors. NaN and infinities are written as strings and read back."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def log_traceback(path: Path, title: str, error: BaseException) -> None:
    """Append the traceback of ``error`` to a log, under ``title``."""
    lines = traceback.format_exception(error)
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(f"{title}\n{''.join(lines)}\n")


def write_atomically(path: Path, text: str) -> None:
    """Replace the content of ``path`` with ``text`` (UTF-8); readers see either the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
