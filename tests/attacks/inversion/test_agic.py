from __future__ import annotations

import pytest
import torch

from fedleak.attacks.inversion.agic import Agic
from fedleak.client.local_training import LocalTraining
from tests.attacks.inversion.builders import victim

STEPS = LocalTraining("fedavg", batch_size=1, epochs=2, learning_rate=0.1, train_mode=False)


def test_deeper_layers_count_more() -> None:
    """Two layers by hand: cosines 0 and 1, weights 2/3 and 4/3, whose mean is one."""
    trial = {"first": torch.tensor([1.0, 0.0]), "second": torch.tensor([2.0])}
    shared = {"first": torch.tensor([0.0, 3.0]), "second": torch.tensor([5.0])}
    assert float(Agic().distance(trial, shared, {})) == pytest.approx((2 / 3 * 1 + 4 / 3 * 0) / 2)
    assert float(Agic().distance(shared, {"first": shared["first"], "second": -shared["second"]}, {})) == pytest.approx(
        (2 / 3 * 0 + 4 / 3 * 2) / 2
    )


def test_a_delta_of_several_mini_batches_is_matched_by_one_gradient() -> None:
    one = victim(count=2, training=STEPS)
    losses = one.attacked_by(Agic(iterations=60, compile="never")).curve["matching_loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_nothing_of_local_training_is_known() -> None:
    assert Agic().local_knowledge == "unknown"
