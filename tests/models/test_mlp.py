from __future__ import annotations

import torch

from fedleak.models.mlp import Mlp


def test_forward_equals_the_formula() -> None:
    network = Mlp(hidden=(5, 4)).build((1, 3, 2), 3, seed=0)
    images = torch.randn(7, 1, 3, 2)
    (w1, b1), (w2, b2), (w3, b3) = ((m.weight, m.bias) for m in network if hasattr(m, "weight"))  # type: ignore[attr-defined]
    hidden = torch.relu(torch.relu(images.reshape(7, 6) @ w1.T + b1) @ w2.T + b2)
    torch.testing.assert_close(network(images), hidden @ w3.T + b3)


def test_no_hidden_layer_is_logistic_regression() -> None:
    shapes = [tuple(p.shape) for p in Mlp(hidden=()).build((1, 3, 2), 3, seed=0).parameters()]
    assert shapes == [(3, 6), (3,)]


def test_without_biases_nothing_but_the_weights_is_left() -> None:
    shapes = [tuple(p.shape) for p in Mlp(hidden=(5,), bias=False).build((1, 3, 2), 3, seed=0).parameters()]
    assert shapes == [(5, 6), (3, 5)]
