from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.sign_sgd import SignSgd
from tests.client.postprocess.updates import generator, updates


@given(update=updates())
def test_signs_value_by_value(update: Update) -> None:
    plain = SignSgd(scale="none").apply(update, generator=generator())
    scaled = SignSgd().apply(update, generator=generator())
    for name, tensor in update.items():
        values = tensor.flatten().tolist()
        if not tensor.is_floating_point() or not values:
            assert torch.equal(plain[name], tensor)
            continue
        signs = [(v > 0) - (v < 0) for v in values]
        assert plain[name].flatten().tolist() == signs
        mean = math.fsum(abs(v) / len(values) for v in values)
        for actual, sign in zip(scaled[name].flatten().tolist(), signs, strict=True):
            assert actual == pytest.approx(sign * mean, rel=1e-5, abs=1e-37)


def test_by_hand() -> None:
    result = SignSgd().apply({"w": torch.tensor([3.0, -1.0, 0.0, 2.0])}, generator=generator())["w"]
    torch.testing.assert_close(result, torch.tensor([1.5, -1.5, 0.0, 1.5]))


def test_the_surrogate_is_the_sign_with_the_derivative_of_the_value() -> None:
    trial = torch.tensor([3.0, -1.0, 0.0, 0.0], requires_grad=True)
    made = SignSgd().surrogate({"w": trial}, shared={})["w"]
    assert made.tolist() == [1.0, -1.0, 0.0, 0.0]
    made.sum().backward()
    assert trial.grad is not None
    assert trial.grad.tolist() == [1.0] * 4
