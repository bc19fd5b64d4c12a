"""One step from a layer's output back to its input: shapes, and what it starts as."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedleak.attacks.generative.step_back import GROUPS, MIN_CHANNELS, StepBack, channels_at


@pytest.mark.parametrize(
    ("lowest", "growth", "channels"),
    [(64, 1, 64), (64, 2, 32), (64, 4, 16), (64, 16, 16), (64, 0.5, 64), (64, 1.4, 64), (64, 1.5, 32), (100, 1, 104)],
)
def test_channels_halve_with_every_doubling_of_the_side(lowest: int, growth: float, channels: int) -> None:
    """A multiple of eight, and never fewer than sixteen."""
    assert channels_at(lowest, growth) == channels
    assert channels % GROUPS == 0
    assert channels >= MIN_CHANNELS


def step(source: tuple[int, int, int], side: tuple[int, int, int], **changes: Any) -> StepBack:
    """Between two maps."""
    settings: dict[str, Any] = {"gradient": 5, "above": 3, "incoming": 16, "outgoing": 24, "projected": 2, "depth": 2}
    return StepBack(source=source, side=side, **(settings | changes))


@pytest.mark.parametrize(
    ("source", "side", "enlarged"),
    [
        ((16, 4, 4), (8, 4, 4), False),
        ((16, 4, 4), (8, 8, 8), True),
        ((16, 2, 2), (8, 7, 7), True),
        ((16, 3, 3), (8, 5, 5), False),
        ((16, 2, 4), (8, 6, 8), True),
        ((16, 4, 4), (8, 2, 2), False),
    ],
)
def test_the_map_grows_to_that_of_the_layers_input(
    source: tuple[int, int, int], side: tuple[int, int, int], enlarged: bool
) -> None:
    """By a whole factor where there is one, and by interpolation for the rest."""
    network = step(source, side)
    assert (network.enlarge is not None) == enlarged
    out = network(torch.randn(3, 16, *source[1:]), torch.randn(3, 5), torch.randn(3, 3))
    assert out.shape == (3, 24, *side[1:])


def test_it_starts_without_modulation_and_without_refinement() -> None:
    """So that at first the convolution that enters is all."""
    network = step((16, 4, 4), (8, 4, 4))
    estimate, gradient, above = torch.randn(3, 16, 4, 4), torch.randn(3, 5), torch.randn(3, 3)
    projected = network.project(gradient).reshape(3, 2, 4, 4)
    expected = network.enter(torch.cat([estimate, projected], dim=1))
    torch.testing.assert_close(network(estimate, gradient, above), expected)
    torch.testing.assert_close(network(estimate, gradient, 10 * above), expected)


def test_every_weight_that_matters_at_first_learns() -> None:
    network = step((16, 2, 2), (8, 4, 4))
    out = network(torch.randn(3, 16, 2, 2), torch.randn(3, 5), torch.randn(3, 3))
    out.square().mean().backward()
    learning = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"project.weight", "modulate.weight", "enter.weight", "enlarge.weight", "refine.0.2.weight"} <= learning


def test_samples_do_not_mix() -> None:
    network = step((16, 2, 2), (8, 4, 4))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    inputs = torch.randn(3, 16, 2, 2), torch.randn(3, 5), torch.randn(3, 3)
    torch.testing.assert_close(network(*inputs)[1:2], network(*(tensor[1:2] for tensor in inputs)))
