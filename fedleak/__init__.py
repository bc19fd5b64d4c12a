"""fedleak: simulate and measure gradient leakage in federated learning."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from fedleak.version import __version__ as __version__

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # Flower and its data sets would call home when they are imported


_FUNCTIONS = {
    "run": "fedleak.pipeline",
    "invert": "fedleak.audit.direct",
    "infer_labels": "fedleak.audit.direct",
    "score": "fedleak.audit.scoring",
}
"""Public functions and their modules, which are imported on demand: a plain import stays quick."""


def __getattr__(name: str) -> Callable[..., Any]:
    if name in _FUNCTIONS:
        function: Callable[..., Any] = getattr(importlib.import_module(_FUNCTIONS[name]), name)
        return function
    raise AttributeError(f"module 'fedleak' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FUNCTIONS])
