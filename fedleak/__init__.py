"""fedleak: simulate and measure gradient leakage in federated learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedleak.version import __version__ as __version__


def __getattr__(name: str) -> Callable[..., Any]:
    if name == "run":  # on demand: a plain import stays quick
        from fedleak.pipeline import run

        return run
    raise AttributeError(f"module 'fedleak' has no attribute {name!r}")
