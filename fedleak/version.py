"""Which fedleak this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fedleak")
except PackageNotFoundError:  # a source tree on PYTHONPATH
    __version__ = "0+unknown"
