"""The cache folder for files that can be regenerated."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """``$FEDLEAK_CACHE``, or ``~/.cache/fedleak``."""
    return Path(os.environ.get("FEDLEAK_CACHE", "~/.cache/fedleak")).expanduser()
