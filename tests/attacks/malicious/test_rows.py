from __future__ import annotations

import pytest
import torch

from fedleak.attacks.malicious.rows import as_batch, divided, shared_layer
from fedleak.errors import AttackFailedError
from fedleak.threat import PixelPrior, SharedUpdate


def update(**tensors: torch.Tensor) -> SharedUpdate:
    return SharedUpdate({name.replace("_", "."): t for name, t in tensors.items()}, "fedsgd", 1, 0, 2)


def test_rows_are_divided_by_their_bias_the_largest_first() -> None:
    weight, bias = torch.tensor([[2.0, 4.0], [3.0, 9.0], [1e-9, 0.0]]), torch.tensor([2.0, -3.0, 1e-9])
    assert divided(weight, bias, smallest=1e-6, most=None).tolist() == [[-1.0, -3.0], [1.0, 2.0]]
    assert divided(weight, bias, smallest=1e-6, most=1).tolist() == [[-1.0, -3.0]]


def test_the_mean_stands_for_images_that_were_not_found() -> None:
    pixels = PixelPrior((0.5,), (0.5,))
    images = as_batch(torch.tensor([[-1.0, 1.0], [1.0, 3.0]]), (1, 1, 2), pixels, samples=3)
    assert images.flatten(1).tolist() == [[0.0, 1.0], [1.0, 1.0], [0.5, 1.0]]
    assert len(as_batch(torch.zeros(2, 2), (1, 1, 2), pixels, samples=None)) == 2


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"a_weight": torch.ones(1, 1)}, "does not hold a.bias, which was crafted"),
        ({"a_weight": torch.ones(1, 1), "a_bias": torch.zeros(1)}, "zero or not finite"),
        ({"a_weight": torch.full((1, 1), torch.nan), "a_bias": torch.ones(1)}, "zero or not finite"),
    ],
)
def test_a_layer_without_a_gradient_is_refused(tensors: dict[str, torch.Tensor], reason: str) -> None:
    with pytest.raises(AttackFailedError, match=reason):
        shared_layer(update(**tensors), "a")
