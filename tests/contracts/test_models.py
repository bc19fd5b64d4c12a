"""Every model builds at its smallest sensible input, from its seed alone."""

from __future__ import annotations

import pytest
import torch

from fedleak.families import kinds
from fedleak.models.base import InputShape, Model
from tests.builders import with_required

KINDS = list(kinds("model"))
SIDES = (4, 8, 16, 32, 64, 224)
CLASSES = 5


def model(kind: str) -> Model:
    cls = kinds("model")[kind]
    assert issubclass(cls, Model)
    return with_required(cls)


def smallest_input(kind: str, channels: int = 3) -> InputShape:
    """The smallest square image that the model does not refuse."""
    for side in SIDES:
        try:
            model(kind).build((channels, side, side), CLASSES, seed=0)
        except ValueError:
            continue
        return channels, side, side
    raise AssertionError(f"{kind} refuses every size")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_it_maps_images_to_finite_logits(kind: str, channels: int) -> None:
    shape = smallest_input(kind, channels)
    network = model(kind).build(shape, CLASSES, seed=0)
    for batch in (1, 3):
        logits = network.eval()(torch.randn(batch, *shape))
        assert logits.shape == (batch, CLASSES)
        assert logits.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_images_do_not_need_to_be_square(kind: str) -> None:
    channels, side, _ = smallest_input(kind)
    network = model(kind).build((channels, side, 2 * side), CLASSES, seed=0)
    assert network.eval()(torch.randn(2, channels, side, 2 * side)).shape == (2, CLASSES)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_depend_on_the_seed_alone(kind: str) -> None:
    shape = smallest_input(kind)
    torch.rand(3)
    first = model(kind).build(shape, CLASSES, seed=1).state_dict()
    torch.rand(5)
    again = model(kind).build(shape, CLASSES, seed=1).state_dict()
    other = model(kind).build(shape, CLASSES, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_stream_is_not_touched(kind: str) -> None:
    shape, state = smallest_input(kind), torch.get_rng_state()
    model(kind).build(shape, CLASSES, seed=1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_gradient(kind: str) -> None:
    shape = smallest_input(kind)
    network = model(kind).build(shape, CLASSES, seed=0)
    network.eval()(torch.randn(2, *shape)).logsumexp(dim=1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
