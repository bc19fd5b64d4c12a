"""fedleak: simulate and measure gradient leakage in federated learning."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("fedleak")
