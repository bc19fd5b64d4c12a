from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.labels.greedy_bias import GreedyBias
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.threat import SharedUpdate
from tests.builders import Protocol, architecture, digits, updates_of

GREEDY = GreedyBias()
MODELS = [
    Mlp(),
    Mlp(hidden=()),
    Mlp(activation="tanh"),
    LeNet(),
    LeNet(activation="relu"),
    ConvNet(widths=(8, 8)),
    ConvNet(widths=(8,), normalisation="none", activation="leaky_relu"),
]


def guesses(
    model: Model,
    *,
    batch: int,
    count: int,
    protocol: Protocol = "fedsgd",
    inference: LabelInference = GREEDY,
) -> tuple[np.ndarray, np.ndarray]:
    """Guessed and true labels ``(count, batch)``, both sorted, of random batches of digits."""
    data = digits().train
    index = np.random.default_rng(1).integers(len(data), size=(count, batch))
    tensors = updates_of(architecture(model), data.images[index], data.labels[index], protocol=protocol)
    guessed = [
        inference.infer(SharedUpdate({n: t[i] for n, t in tensors.items()}, protocol, 1, 1, batch), count=batch)
        for i in range(count)
    ]
    return np.stack(guessed), np.sort(data.labels[index])


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_one_image_is_always_right(model: Model, protocol: Protocol) -> None:
    guessed, true = guesses(model, batch=1, count=50, protocol=protocol)
    np.testing.assert_array_equal(guessed, true)


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
def test_one_image_is_right_without_a_bias_on_positive_features(protocol: Protocol) -> None:
    guessed, true = guesses(LeNet(last_bias=False), batch=1, count=50, protocol=protocol)
    np.testing.assert_array_equal(guessed, true)


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
def test_repeats_in_a_batch_are_counted_on_an_untrained_model(protocol: Protocol) -> None:
    guessed, true = guesses(LeNet(), batch=6, count=30, protocol=protocol)
    agree = sum((Counter(g.tolist()) & Counter(t.tolist())).total() for g, t in zip(guessed, true, strict=True))
    assert agree / true.size > 0.9


# Softmax is uniform over 4 classes and the labels are 2, 2, 0: dL/db = 1/4 - (1, 0, 2, 0)/3.
BIAS = torch.tensor([-1 / 12, 1 / 4, -5 / 12, 1 / 4])
FEATURES = torch.tensor([1.0, 0.5, 2.0])


def by_hand(*tensors: torch.Tensor, protocol: Protocol = "fedsgd") -> list[int]:
    named = {str(i): tensor for i, tensor in enumerate(tensors)}
    labels: list[int] = GreedyBias().infer(SharedUpdate(named, protocol, 1, 1, 3), count=3).tolist()
    return labels


def test_three_images_with_a_repeat_by_hand() -> None:
    """Take 2 (-5/12, becomes -1/12), then 0 and 2 at -1/12 each, in either order."""
    assert by_hand(torch.outer(BIAS, FEATURES), BIAS) == [0, 2, 2]


def test_the_same_as_a_weight_delta() -> None:
    """Turned and scaled by lr = 0.1; the share is estimated as (1/12 + 5/12) / 3 * 4/3 = 2/9 of the unscaled values:
    2 (-5/12 -> -7/36), 2 (-7/36 -> 1/36), 0 (-1/12).
    """
    assert by_hand(-0.1 * torch.outer(BIAS, FEATURES), -0.1 * BIAS, protocol="fedavg") == [0, 2, 2]


def test_the_sign_of_a_delta_matters() -> None:
    assert by_hand(0.1 * torch.outer(BIAS, FEATURES), 0.1 * BIAS, protocol="fedavg") != [0, 2, 2]


def test_row_sums_stand_in_for_a_missing_bias() -> None:
    assert by_hand(torch.ones(5), torch.outer(BIAS, FEATURES)) == [0, 2, 2]


def test_a_gradient_that_is_not_finite_is_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="not finite"):
        by_hand(torch.outer(BIAS, FEATURES), torch.full((4,), torch.nan))
