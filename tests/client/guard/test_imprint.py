from __future__ import annotations

import pytest
import torch

from fedleak.client.guard.imprint import Imprint
from tests.client.guard.crafted import generator, imprint_weights, network


@pytest.mark.parametrize("inputs", [16, 64, 3072])
def test_an_imprint_module_is_found_and_named(inputs: int) -> None:
    (finding,) = Imprint().inspect(network(*imprint_weights(inputs=inputs)))
    assert str(finding) == "imprint: layer 0: 100.0% of its weights' energy lies in one direction"


def test_rows_of_different_length_and_a_little_noise_do_not_hide_it() -> None:
    weights, bias = imprint_weights()
    draws = generator(1)
    scaled = weights * (0.5 + torch.rand(len(weights), 1, generator=draws))
    noisy = scaled + 0.1 * torch.randn(weights.shape, generator=draws)
    assert [f.layer for f in Imprint().inspect(network(noisy, bias))] == ["0"]


def test_zero_weights_are_no_imprint() -> None:
    assert Imprint().inspect(network(torch.zeros(8, 8))) == []
