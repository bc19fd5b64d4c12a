"""Running one check over many inputs: the same ones in every default run, others behind the marker ``slow``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")
EXAMPLES = "FEDLEAK_FUZZ_EXAMPLES"
"""Environment variable: number of inputs of each test of the long run."""
SEED = "FEDLEAK_FUZZ_SEED"
"""Environment variable: seed of the long run."""
SLOW_EXAMPLES, SLOW_SEED = 1500, 1


@dataclass(frozen=True)
class Effort:
    """How many inputs are tried: a multiple of a test's own number, or the number that the environment gives."""

    slow: bool

    def over(self, inputs: st.SearchStrategy[T], examine: Callable[[T], Any], *, examples: int) -> None:
        """Apply ``examine`` to inputs; the first failure ends it, and hypothesis prints the input."""
        count = int(os.environ.get(EXAMPLES, SLOW_EXAMPLES)) if self.slow else examples

        @seed(int(os.environ.get(SEED, SLOW_SEED)) if self.slow else 0)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=(Phase.generate,),  # a mutation is small already; shrinking would take minutes
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs)
        def tried(given_input: T) -> None:
            examine(given_input)

        tried()


SHORT = pytest.param(Effort(slow=False), marks=pytest.mark.timeout(900), id="short")
LONG = pytest.param(Effort(slow=True), marks=[pytest.mark.slow, pytest.mark.timeout(4 * 3600)], id="long")
efforts = pytest.mark.parametrize("effort", [SHORT, LONG])
"""Runs a test in the default tests, and again with other inputs behind ``slow``."""
