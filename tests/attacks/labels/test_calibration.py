"""What a model answers to images of the attacker's own, and what follows for the labels of others."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import pytest
import torch
from torch import nn

from fedleak.attacks.labels.calibration import Calibrated, expected_softmax, project, respond, softmax_spread
from fedleak.errors import AttackFailedError
from fedleak.models.mlp import Mlp
from fedleak.threat import GlobalModel, ModelArchitecture, SharedUpdate
from tests.builders import architecture

SOFTMAX = torch.tensor([0.5, 0.3, 0.2])
"""Of every image, for the last layer ignores its input but for a bias."""


class OnBlack(Calibrated):
    """Calibrated on images of zeros."""

    kind: Literal["on_black"] = "on_black"
    seen: ClassVar[int] = 4

    def infer(
        self, update: SharedUpdate, architecture: ModelArchitecture, model: GlobalModel, *, count: int
    ) -> torch.Tensor:
        images = torch.zeros(self.seen, *architecture.input_shape)
        return self.counted(update, architecture, model, images, None, count)


def leaked(*, bias: bool = True) -> tuple[ModelArchitecture, GlobalModel]:
    """A linear layer on four pixels that answers every image with the same softmax."""
    found = architecture(Mlp(hidden=(), bias=bias), shape=(1, 2, 2), classes=3)
    state = {"1.weight": torch.zeros(3, 4)} | ({"1.bias": SOFTMAX.log()} if bias else {})
    return found, GlobalModel(state, version=0)


def gradient(*counts: int) -> SharedUpdate:
    """Of a batch with so many images of each class: ``dL/db = p - n / B``, on images of ones."""
    total = sum(counts)
    bias = SOFTMAX - torch.tensor([count / total for count in counts])
    tensors = {"1.weight": bias[:, None].repeat(1, 4), "1.bias": bias}
    return SharedUpdate(tensors, protocol="fedsgd", round=1, client=1, samples=total)


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 0, 1), (4, 0, 0), (1, 1, 1), (0, 3, 1), (2, 5, 3)])
def test_counts_are_exact_where_the_softmax_is_that_of_every_image(counts: tuple[int, int, int]) -> None:
    labels = OnBlack().infer(gradient(*counts), *leaked(), count=sum(counts))
    assert labels.bincount(minlength=3).tolist() == list(counts)
    assert labels.tolist() == sorted(labels.tolist())


def test_an_update_that_is_not_finite_is_a_failed_attack() -> None:
    update = gradient(1, 1, 1)
    broken = replace(update, tensors={name: tensor * torch.nan for name, tensor in update.tensors.items()})
    with pytest.raises(AttackFailedError, match="not finite"):
        OnBlack().infer(broken, *leaked(), count=3)


def test_a_delta_is_read_at_both_ends_of_local_training() -> None:
    """The mean of the softmax before, (1/2, 3/10, 1/5), and after, of which the first class is all."""
    found, model = leaked()
    delta = SharedUpdate({"1.weight": torch.zeros(3, 4), "1.bias": torch.tensor([200.0, 0.0, 0.0])}, "fedavg", 1, 1, 2)
    response = OnBlack()._response(delta, found, model, torch.zeros(2, 1, 2, 2))
    torch.testing.assert_close(response.softmax[0], torch.tensor([0.75, 0.15, 0.1]))


def test_a_model_answers_with_softmax_and_with_what_its_last_layer_saw() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    state = {
        "1.weight": torch.eye(2),
        "1.bias": torch.zeros(2),
        "3.weight": torch.zeros(2, 2),
        "3.bias": torch.tensor([0.0, 3.0]).log1p(),
    }
    response = respond(module, state, {}, torch.tensor([[[[1.0, -2.0]]]]))
    assert response.features.tolist() == [[1.0, 0.0]]
    torch.testing.assert_close(response.softmax, torch.tensor([[0.2, 0.8]]))
    assert not module[3]._forward_pre_hooks
    assert not response.softmax.requires_grad


def test_a_network_without_a_linear_layer_is_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="no linear layer"):
        respond(nn.Flatten(), {}, {}, torch.zeros(1, 1, 2, 2))


def test_expected_softmax_by_class_and_overall() -> None:
    softmax = torch.tensor([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0]])
    rows = expected_softmax(softmax, torch.tensor([0, 0, 0]))
    torch.testing.assert_close(rows[0], torch.tensor([1.6 / 3, 1.4 / 3]))
    torch.testing.assert_close(rows[1], softmax.mean(dim=0))  # no image of class 1
    torch.testing.assert_close(
        expected_softmax(softmax, torch.tensor([0, 0, 1])), torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    )


def test_the_spread_is_the_covariance_within_classes() -> None:
    softmax, classes = torch.tensor([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0]]), torch.tensor([0, 0, 1])
    within = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double() * (0.01 + 0.01) / 3
    torch.testing.assert_close(softmax_spread(softmax, expected_softmax(softmax, classes), classes), within)


def test_a_bias_gradient_comes_back_out_of_an_outer_product() -> None:
    bias, feature = torch.tensor([0.5, -0.5]), torch.tensor([1.0, 3.0])
    torch.testing.assert_close(project(torch.outer(bias, feature), feature), bias)


def test_features_of_nothing_but_zeros_are_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="all zero"):
        project(torch.ones(2, 2), torch.zeros(2))
