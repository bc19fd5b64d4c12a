"""Paths of users' strategies; what they do is tested in tests/federation/test_optimized.py."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fedleak.server.strategy.factory import OwnStrategy


@pytest.mark.parametrize("path", ["median", "mine:", ":median", "../mine:median", "mine:f()"])
def test_paths_that_name_no_function_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        OwnStrategy(path=path)
