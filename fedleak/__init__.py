"""fedleak: simulate and measure gradient leakage in federated learning."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fedleak.version import __version__ as __version__

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # Flower and its data sets would call home when they are imported


def __getattr__(name: str) -> Callable[..., Any]:
    if name == "run":  # on demand: a plain import stays quick
        from fedleak.pipeline import run

        return run
    raise AttributeError(f"module 'fedleak' has no attribute {name!r}")
