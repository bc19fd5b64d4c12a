from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fedleak.attacks.generative.identification import BackwardRecursion, identify
from fedleak.attacks.layers.chain import chain_of
from fedleak.errors import AttackFailedError
from fedleak.models.base import ActivationName
from fedleak.models.lenet import LeNet
from tests.builders import MODEL_SEED, architecture, digits, updates_of

VARIED: list[ActivationName] = ["relu", "leaky_relu", "tanh"]


def known(model: LeNet, count: int) -> tuple[BackwardRecursion, dict[str, Tensor]]:
    """The walk through a leaked model, and single-image updates of it."""
    leaked = architecture(model)
    data = digits().train.take(np.arange(count))
    update = updates_of(leaked, data.images[:, None], data.labels[:, None])
    return BackwardRecursion(chain_of(leaked.build(seed=0), leaked.input_shape), guard=1e-10, final_guard=1e-10), update


@pytest.mark.parametrize("activation", VARIED)
def test_weights_are_identified_from_inputs_and_gradients_alone(activation: ActivationName) -> None:
    """The last weight up to the mean of its rows, the convolution's up to its bias; both on the inputs that occur."""
    model = LeNet(channels=8, activation=activation)
    walk, update = known(model, 500)
    weights = identify(walk, update)
    leaked = dict(architecture(model).build(seed=MODEL_SEED).named_parameters())
    assert list(weights) == ["7.weight", "4.weight"]
    a = walk.start(update)[1]
    true = leaked["7.weight"].detach().double()
    inputs = a - a.mean(dim=0)
    torch.testing.assert_close(inputs @ weights["7.weight"].T, inputs @ (true - true.mean(dim=0)).T, atol=1e-4, rtol=0)
    z = walk.chain[2].activation.inverse(a.reshape(-1, 8, 2, 2))
    second = walk.step(3, update, weights["7.weight"], *walk.start(update))[1]
    predicted = nn.functional.conv2d(second, weights["4.weight"], leaked["4.bias"].detach().double(), padding=2)
    unexplained = (z - predicted)[z.isfinite()]
    assert (unexplained - unexplained.mean()).std() < 0.02 * z[z.isfinite()].std()


@pytest.mark.parametrize("activation", VARIED)
def test_the_walk_meets_the_leaked_models_own_activations(activation: ActivationName) -> None:
    model = LeNet(channels=8, activation=activation)
    walk, update = known(model, 500)
    module = architecture(model).build(seed=MODEL_SEED)
    data = digits().train.take(np.arange(500))
    pixels = (torch.from_numpy(data.images).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        third, second = module[:4](pixels).double(), module[:2](pixels).double()  # type: ignore[index]
    weights = {n: p.detach().double() for n, p in module.named_parameters()}
    d, a = walk.start(update)
    torch.testing.assert_close(a.reshape(-1, 8, 2, 2), module[:6](pixels).detach().double(), atol=1e-4, rtol=1e-4)  # type: ignore[index]
    assert (walk.step(3, update, weights["7.weight"], d, a)[1] - third).norm() < 1e-2 * third.norm()
    assert (walk(update, weights) - second).norm() < 0.7 * second.norm()  # strides hide a part of it


def test_it_needs_two_layers_and_a_last_bias() -> None:
    leaked = architecture(LeNet(last_bias=False))
    with pytest.raises(AttackFailedError, match="a linear last layer with a bias"):
        BackwardRecursion(chain_of(leaked.build(seed=0), leaked.input_shape), guard=0.0, final_guard=0.0)
