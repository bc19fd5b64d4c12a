"""Oracle: small chains are recovered to a tolerance set by single-precision gradients and the layers' conditioning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.attacks.analytic.r_gap import RGap, settled
from fedleak.attacks.layers.chain import Activation, ActivationKind
from fedleak.client.local_training import LocalTraining
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from tests.attacks.inversion.builders import victim

CHAINS = [
    LeNet(),
    LeNet(activation="tanh"),
    LeNet(activation="leaky_relu"),
    LeNet(activation="relu"),
    LeNet(last_bias=False),
    Mlp(activation="sigmoid"),
    Mlp(activation="leaky_relu"),
]


@pytest.mark.parametrize("model", CHAINS, ids=repr)
def test_one_image_is_recovered_through_the_whole_chain(model: Model) -> None:
    for first in range(5):
        one = victim(model, first=first, uniform=False)
        found = one.attacked_by(RGap())
        np.testing.assert_allclose(found.images, one.images, atol=1e-3)
        assert found.labels is not None
        assert found.labels.tolist() == one.labels.tolist()
        assert found.curve["rank_share"] == [1.0] * len(found.curve["rank_share"])


def test_a_weight_delta_of_one_step_of_unknown_rate() -> None:
    step = LocalTraining("fedavg", batch_size=1, epochs=1, learning_rate=1.0, train_mode=False)
    one = victim(LeNet(activation="tanh"), training=step, uniform=False)
    np.testing.assert_allclose(one.attacked_by(RGap()).images, one.images, atol=1e-2)


def test_too_few_constraints_are_reported_as_such() -> None:
    """One channel at stride two: 16 outputs and 25 gradients see 64 pixels."""
    found = victim(LeNet(channels=1, activation="tanh"), uniform=False).attacked_by(RGap())
    assert found.curve["rank_share"][-1] < 1
    assert torch.isfinite(found.images).all()


def test_a_batch_is_refused() -> None:
    with pytest.raises(AttackFailedError, match="single image; the update comes from 2"):
        victim(LeNet(), count=2).attacked_by(RGap())


def test_pooling_is_refused_by_name() -> None:
    with pytest.raises(AttackFailedError, match="MaxPool2d"):
        victim(ConvNet(widths=(4,), normalisation="none"), uniform=False).attacked_by(RGap())


def test_large_layers_are_refused() -> None:
    with pytest.raises(AttackFailedError, match="64 inputs, more than most_unknowns = 63"):
        victim(LeNet(channels=2)).attacked_by(RGap(most_unknowns=63))


@pytest.mark.parametrize(
    ("kind", "outputs", "expected"),
    [
        ("sigmoid", [-1e-3, 0.5, 1.0], [1e-12, 0.5, 1 - 1e-12]),
        ("tanh", [-1.0, 0.5, 1.1], [1e-12 - 1, 0.5, 1 - 1e-12]),
        ("relu", [-1e-9, 1e-6, 1.0], [0.0, 0.0, 1.0]),
        ("leaky_relu", [-1e-9, 1e-6, 1.0], [-1e-9, 1e-6, 1.0]),
        ("identity", [-1e-9, 1e-6, 1.0], [-1e-9, 1e-6, 1.0]),
    ],
)
def test_rounding_keeps_no_output_from_being_undone(
    kind: ActivationKind, outputs: list[float], expected: list[float]
) -> None:
    found = settled(Activation(kind, slope=0.1), torch.tensor(outputs, dtype=torch.float64))
    assert found.tolist() == expected
