from __future__ import annotations

import pytest

from fedleak.attacks.inversion.inverting_averaging import InvertingAveraging
from fedleak.attacks.replay import LocalSteps, assumed_order
from fedleak.client.local_training import LocalTraining
from fedleak.models.convnet import ConvNet
from fedleak.threat import TrainingDetails
from tests.attacks.inversion.builders import victim
from tests.attacks.inversion.test_objective import known, objective

STEPS = LocalTraining("fedavg", batch_size=1, epochs=5, learning_rate=0.5, train_mode=False)


def test_the_truth_matches_unrolled_steps_and_not_a_single_one() -> None:
    """Five steps at a large rate on one image; the weights move far. The attack starts at the truth."""
    one = victim(ConvNet(widths=(8, 8), normalisation="none"), training=STEPS, uniform=False)
    start = {"code": ((one.images - 0.5) / 0.5)[None]}
    unrolled = objective(one, steps=LocalSteps(0.5, assumed_order(1, batch_size=1, epochs=5)))
    _, _, matching = unrolled.value_and_gradient(start, known(one, 1, one.labels))
    assert float(matching) == pytest.approx(0, abs=1e-5)
    _, _, single = objective(one).value_and_gradient(start, known(one, 1, one.labels))
    assert float(single) > 1.9  # a delta points against the gradient


def test_an_image_is_found_through_unrolled_steps() -> None:
    one = victim(training=STEPS)
    assert one.psnr(one.attacked_by(InvertingAveraging(iterations=60))) > 15


def test_it_asks_for_training_details() -> None:
    assert TrainingDetails in InvertingAveraging.capabilities()
