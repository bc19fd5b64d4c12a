"""AdamW by hand."""

from __future__ import annotations

import pytest
import torch

from fedleak.client.optimizer.adamw import AdamW


def test_decay_shrinks_the_weights_and_is_no_gradient() -> None:
    """5 (1 - 0.1 * 0.2) = 4.9, and no step without a gradient; with one, a full step of 0.1."""
    rule, weights = AdamW(weight_decay=0.2), {"w": torch.tensor([5.0])}
    still, _ = rule.step(weights, {"w": torch.zeros(1)}, {}, rate=0.1, number=1)
    moved, _ = rule.step(weights, {"w": torch.tensor([7.0])}, {}, rate=0.1, number=1)
    assert (float(still["w"]), float(moved["w"])) == (pytest.approx(4.9), pytest.approx(4.8))
