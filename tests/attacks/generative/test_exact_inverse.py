from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fedleak.attacks.generative import exact_inverse
from fedleak.attacks.generative.exact_inverse import kernel_map, pull_back, solve_input, solve_output
from fedleak.errors import AttackFailedError

CONVOLUTIONS = [
    nn.Conv2d(2, 6, 3, padding=1),
    nn.Conv2d(2, 9, 3, stride=2, padding=1),
    nn.Conv2d(1, 6, 3, dilation=2, bias=False),
    nn.Conv2d(2, 12, 2, padding="same"),
]


def case(layer: nn.Linear | nn.Conv2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs, gradients of the outputs, weight gradients of each sample, gradients of the inputs; by autograd."""
    torch.manual_seed(0)
    layer = layer.double()
    shape = (7,) if isinstance(layer, nn.Linear) else (layer.in_channels, 6, 6)
    a = torch.randn(4, *shape, dtype=torch.float64, requires_grad=True)
    output = layer(a)
    d = torch.randn_like(output)
    weights = [torch.autograd.grad((layer(x[None]) * e).sum(), layer.weight)[0] for x, e in zip(a, d, strict=True)]
    (back,) = torch.autograd.grad((output * d).sum(), a)
    return a.detach(), d, torch.stack(weights), back


@pytest.mark.parametrize("layer", [nn.Linear(7, 3), *CONVOLUTIONS], ids=repr)
def test_every_part_is_exact_on_true_values(layer: nn.Linear | nn.Conv2d) -> None:
    a, d, weight, back = case(layer)
    shapes = tuple(a.shape[1:]), tuple(d.shape[1:])
    torch.testing.assert_close(pull_back(layer, layer.weight, d, shapes[0]), back)
    torch.testing.assert_close(solve_input(layer, weight, d, shapes[0], 0.0), a, atol=1e-7, rtol=1e-6)
    if isinstance(layer, nn.Linear):
        torch.testing.assert_close(solve_output(layer, weight, a, shapes[1], 0.0), d)


def test_the_output_gradient_of_a_convolution_needs_as_many_kernel_values_as_positions() -> None:
    layer = nn.Conv2d(2, 3, 3, stride=3)  # 2 x 2 positions, 18 kernel values
    a, d, weight, _ = case(layer)
    torch.testing.assert_close(solve_output(layer, weight, a, tuple(d.shape[1:]), 0.0), d)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=repr)
def test_the_kernel_map_is_the_linear_map_that_autograd_applies(layer: nn.Conv2d) -> None:
    a, d, weight, _ = case(layer)
    """Of one input channel; with all of them it has a block for each."""
    mapped = torch.einsum("nki,nci->nck", kernel_map(layer, d, tuple(a.shape[2:])), a.flatten(2))
    torch.testing.assert_close(mapped, weight.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("layer", [nn.Linear(7, 3), nn.Conv2d(2, 6, 3, padding=1)], ids=repr)
def test_nothing_comes_of_nothing(layer: nn.Linear | nn.Conv2d) -> None:
    """A gradient of zeros has no inverse; the guard makes it zero, not NaN."""
    a, d, weight, _ = case(layer)
    solved = solve_input(layer, torch.zeros_like(weight), torch.zeros_like(d), tuple(a.shape[1:]), 1e-9)
    assert (solved == 0).all()


def test_the_guard_shrinks_the_answer() -> None:
    layer = nn.Linear(7, 3)
    a, d, weight, _ = case(layer)
    torch.testing.assert_close(solve_input(layer, weight, d, (7,), 0.25), a / 1.25)


def test_a_convolution_that_is_too_large_is_a_failed_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_inverse, "LARGEST", 1000)
    with pytest.raises(AttackFailedError, match=r"54 x 36 entries .*try git_coarse"):
        kernel_map(nn.Conv2d(2, 6, 3, padding=1), torch.zeros(1, 6, 6, 6), (6, 6))
