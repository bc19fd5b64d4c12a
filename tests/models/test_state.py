from __future__ import annotations

import pytest
import torch

from fedleak.models.modes import in_mode
from fedleak.models.state import at_state, called_with, frozen, load_state, trainable, whole_state
from tests.user_models import FACTORIES

SHAPE = (1, 8, 8)


@pytest.mark.parametrize("name", FACTORIES)
def test_a_state_can_be_copied_into_another_network(name: str) -> None:
    torch.manual_seed(0)
    first, other = FACTORIES[name](SHAPE, 3), FACTORIES[name](SHAPE, 3)
    state = whole_state(first)
    load_state(other, state)
    assert all(torch.equal(tensor, whole_state(other)[key]) for key, tensor in state.items())
    places = [tensor.data_ptr() for tensor in state.values()]
    assert len(set(places)) == len(places)
    assert all(tensor.is_contiguous() for tensor in state.values())


def test_differences_are_named() -> None:
    network = FACTORIES["plain"](SHAPE, 3)
    state = whole_state(network)
    bias = state.pop("fc2.bias")
    with pytest.raises(ValueError, match=r"missing: fc2\.bias; unknown: more"):
        load_state(network, state | {"more": bias})
    with pytest.raises(ValueError, match=r"fc2\.bias has shape \(4,\)"):
        load_state(network, state | {"fc2.bias": torch.zeros(4)})


def test_a_parameter_is_trained_or_frozen() -> None:
    network = FACTORIES["frozen"](SHAPE, 3)
    assert list(trainable(network)) == ["conv2.weight", "conv2.bias", "fc2.weight", "fc2.bias"]
    assert frozen(network) == ("conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias")


def test_another_state_lasts_for_the_block() -> None:
    network, images = FACTORIES["batch_norm"](SHAPE, 3).eval(), torch.randn(2, *SHAPE)
    before, other = network(images), whole_state(FACTORIES["batch_norm"](SHAPE, 3))
    weights = {name: other[name] for name in trainable(network)}
    with at_state(network, weights, {}) as parameters:
        inside = network(images)
        assert all(parameter is network.get_parameter(name) for name, parameter in parameters.items())
    assert torch.allclose(inside, called_with(network, weights, images), atol=1e-6)
    assert not torch.equal(inside, before)
    assert torch.equal(network(images), before)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("normalisation", [False, True])
def test_normalisation_and_dropout_have_their_own_modes(normalisation: bool, dropout: bool) -> None:
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Dropout())
    with in_mode(network, normalisation=normalisation, dropout=dropout):
        assert [layer.training for layer in network] == [normalisation, dropout]
    assert all(layer.training for layer in network)
