"""Adam by hand."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fedleak.client.optimizer.adam import Adam


def test_two_steps_by_hand() -> None:
    """Gradients 2, then -1: m = 0.2, 0.08; v = 0.004, 0.004996; corrected by 0.1, 0.19 and 0.001, 0.001999."""
    weights, state = {"w": torch.tensor([1.0], dtype=torch.float64)}, {}
    expected = 1.0
    moves = [0.1 * (0.2 / 0.1) / (0.004 / 0.001) ** 0.5, 0.1 * (0.08 / 0.19) / (0.004996 / 0.001999) ** 0.5]
    for number, (gradient, move) in enumerate(zip((2.0, -1.0), moves, strict=True), start=1):
        given = {"w": torch.tensor([gradient], dtype=torch.float64)}
        weights, kept = Adam().step(weights, given, state, rate=0.1, number=number)
        state = dict(kept)
        expected -= move
        assert float(weights["w"]) == pytest.approx(expected, abs=1e-8)


def test_decay_is_added_to_the_gradient() -> None:
    """Without a gradient, 0.1 times the weight is one: a full step."""
    new, _ = Adam(weight_decay=0.1).step({"w": torch.tensor([5.0])}, {"w": torch.zeros(1)}, {}, rate=0.1, number=1)
    assert float(new["w"]) == pytest.approx(4.9)


@pytest.mark.parametrize("wrong", [{"betas": (0.9, 1.0)}, {"eps": 0}, {"weight_decay": -1}, {"betas": (0.9,)}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Adam.model_validate(wrong)
