"""The finished study of the studies' tests."""

from __future__ import annotations

from tests.studies.conftest import copied, finished

__all__ = ["copied", "finished"]
