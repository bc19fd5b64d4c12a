from __future__ import annotations

from typing import Literal

import pytest
import torch

from fedleak.attacks.labels.base import output_gradient
from fedleak.errors import AttackFailedError
from fedleak.threat import SharedUpdate

WEIGHT, BIAS = torch.tensor([[1.0, -2.0], [3.0, 4.0], [0.0, 5.0]]), torch.tensor([1.0, -1.0, 2.0])


def update_of(*tensors: torch.Tensor, protocol: Literal["fedsgd", "fedavg"] = "fedsgd") -> SharedUpdate:
    return SharedUpdate({str(i): t for i, t in enumerate(tensors)}, protocol=protocol, round=1, client=1, samples=1)


def test_weight_and_bias_are_the_last_two_tensors() -> None:
    weight, bias = output_gradient(update_of(torch.ones(4, 4), torch.ones(4), WEIGHT, BIAS))
    assert torch.equal(weight, WEIGHT)
    assert bias is not None
    assert torch.equal(bias, BIAS)


def test_without_a_bias_the_last_tensor_is_the_weight() -> None:
    weight, bias = output_gradient(update_of(torch.ones(4), WEIGHT))
    assert torch.equal(weight, WEIGHT)
    assert bias is None


def test_a_weight_delta_points_against_the_gradient() -> None:
    weight, bias = output_gradient(update_of(WEIGHT, BIAS, protocol="fedavg"))
    assert torch.equal(weight, -WEIGHT)
    assert bias is not None
    assert torch.equal(bias, -BIAS)


@pytest.mark.parametrize("tensors", [(), (BIAS,), (BIAS, BIAS), (torch.ones(2, 3, 1, 1), torch.ones(2))])
def test_an_update_without_a_linear_last_layer_is_a_failed_attack(tensors: tuple[torch.Tensor, ...]) -> None:
    with pytest.raises(AttackFailedError, match="linear layer"):
        output_gradient(update_of(*tensors))
