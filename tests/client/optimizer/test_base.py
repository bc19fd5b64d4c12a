"""What all local optimisers have in common."""

from __future__ import annotations

import pytest

from fedleak.client.optimizer.adam import Adam


def test_the_schedule_scales_the_rate_of_each_step() -> None:
    assert Adam.model_validate({"schedule": "cosine"}).rates(0.2, 2) == pytest.approx([0.2, 0.1])


def test_the_reach_by_hand() -> None:
    """With a constant gradient every step is as long as its learning rate."""
    assert Adam().reach(5) == 5
    assert Adam.model_validate({"schedule": {"kind": "step", "every": 1, "gamma": 0.5}}).reach(3) == 1.75
