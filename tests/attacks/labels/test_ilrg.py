from __future__ import annotations

import pytest
import torch

from fedleak.attacks.labels.ilrg import Ilrg, class_embeddings
from fedleak.errors import AttackFailedError
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.threat import GlobalModel, SharedUpdate
from tests.attacks.labels.recovery import Setting, share_recovered

# Every image has the features (1, 2); the model answers softmax (3/4, 1/4); the labels are 0, 1, 1, 1.
FEATURES, SOFTMAX = torch.tensor([1.0, 2.0]), torch.tensor([0.75, 0.25])
BIAS_GRADIENT = SOFTMAX - torch.tensor([0.25, 0.75])
STATE = {"weight": torch.zeros(2, 2), "bias": SOFTMAX.log()}


def update_of(**tensors: torch.Tensor) -> SharedUpdate:
    return SharedUpdate(tensors, "fedsgd", 1, 1, 4)


def test_embeddings_are_the_features_where_all_images_look_alike() -> None:
    embeddings = class_embeddings(torch.outer(BIAS_GRADIENT, FEATURES), BIAS_GRADIENT)
    torch.testing.assert_close(embeddings, FEATURES.double().expand(2, 2))


def test_counts_by_hand() -> None:
    update = update_of(weight=torch.outer(BIAS_GRADIENT, FEATURES), bias=BIAS_GRADIENT)
    assert Ilrg().infer(update, GlobalModel(STATE, version=0), count=4).tolist() == [0, 1, 1, 1]


def test_a_class_whose_bias_gradient_is_zero_does_no_harm() -> None:
    """With labels 0, 0, 0, 1 the gradient of these biases vanishes: nothing but the softmax is left."""
    zero = torch.zeros(2)
    update = update_of(weight=torch.outer(zero, FEATURES), bias=zero)
    assert Ilrg().infer(update, GlobalModel(STATE, version=0), count=4).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("model", [LeNet(), ConvNet(widths=(8, 8))], ids=repr)
def test_untrained_networks_give_away_every_label(model: LeNet) -> None:
    assert share_recovered(Ilrg(), Setting(model), batch=16) >= 0.98


def test_one_local_step_of_unknown_rate() -> None:
    assert share_recovered(Ilrg(), Setting(LeNet(), "fedavg"), batch=16) >= 0.9


def test_without_a_bias_it_refuses() -> None:
    with pytest.raises(AttackFailedError, match="bias"):
        Ilrg().infer(update_of(weight=torch.ones(2, 2)), GlobalModel(STATE, version=0), count=4)
