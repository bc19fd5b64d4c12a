from __future__ import annotations

import torch

from fedleak.metrics.theory.base import Prediction
from fedleak.metrics.theory.local_drift import LocalDrift


def test_rows_are_named_after_the_theorem() -> None:
    assert LocalDrift().row_name == "theory_local_drift"


def test_a_prediction_may_be_images_alone() -> None:
    assert Prediction(torch.zeros(1, 1, 2, 2)).metrics == {}
