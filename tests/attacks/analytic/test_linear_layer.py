from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.attacks.analytic.linear_layer import LinearLayer, distinct_rows, row_inputs
from fedleak.client.local_training import LocalTraining
from fedleak.errors import AttackFailedError
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from tests.attacks.inversion.builders import victim
from tests.builders import Protocol


def training(protocol: Protocol) -> LocalTraining:
    return LocalTraining(protocol, batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("model", [Mlp(), Mlp(hidden=()), Mlp(activation="sigmoid")], ids=repr)
def test_one_image_is_exact(model: Mlp, protocol: Protocol) -> None:
    """To 1e-5 from a gradient; a weight delta has lost digits to the weights that it was subtracted from."""
    for first in range(5):
        one = victim(model, first=first, training=training(protocol), uniform=False)
        images = one.attacked_by(LinearLayer()).images
        np.testing.assert_allclose(images, one.images, atol=1e-5 if protocol == "fedsgd" else 1e-3)


def test_rows_by_hand() -> None:
    """Both rows divide to (1, 2); the second has the larger bias, the third none."""
    weight, bias = torch.tensor([[1.0, 2.0], [-3.0, -6.0], [5.0, 5.0]]), torch.tensor([1.0, -3.0, 0.0])
    assert torch.equal(row_inputs(weight, bias, smallest=1e-12), torch.tensor([[1.0, 2.0], [1.0, 2.0]]))


def test_the_most_different_rows_are_taken() -> None:
    rows = torch.tensor([[0.0], [0.1], [5.0], [-3.0]])
    assert distinct_rows(rows, 3).flatten().tolist() == [0.0, 5.0, -3.0]


def test_a_batch_gives_as_many_images() -> None:
    assert victim(Mlp(), count=3, uniform=False).attacked_by(LinearLayer()).images.shape == (3, 1, 8, 8)


def test_a_network_that_starts_with_a_convolution_is_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="starts with Conv2d"):
        victim(LeNet(channels=4)).attacked_by(LinearLayer())


def test_a_zero_gradient_is_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="zero or not finite"):
        row_inputs(torch.zeros(2, 3), torch.zeros(2), smallest=1e-12)
