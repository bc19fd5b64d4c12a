"""The recursion of Eq. 3 in numbers that can be followed, and its weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fedleak.attacks.generative.exact_network import DTYPE, ExactNetwork
from fedleak.attacks.layers.chain import chain_of
from fedleak.errors import AttackFailedError
from fedleak.threat import PixelPrior

SHAPE = (1, 1, 2)
PIXELS = PixelPrior((0.5,), (0.5,))
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
"""Two layers, of which the second alone has a weight to estimate."""
FIRST, SECOND = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
MODEL.load_state_dict(
    {"1.weight": FIRST, "1.bias": torch.tensor([0.0, 0.0, 1.0]), "3.weight": SECOND, "3.bias": torch.zeros(2)}
)
X = torch.tensor([[1.0, 0.5]])
"""Normalised: pixels 1 and 0.75."""


def network(model: nn.Module = MODEL, *, read_biases: bool = False, guard: float = 0.0) -> ExactNetwork:
    return ExactNetwork(chain_of(model, SHAPE), PIXELS, SHAPE, read_biases=read_biases, guard=guard)


def update() -> dict[str, Tensor]:
    """By hand: hidden (1, 1/2, 5/2), all above zero; let the gradient of the logits be (2, -1).

    Then ``d_1 = W_2^T d_2 = (2, 3, -1)`` passes the ReLU as it is.
    """
    hidden, d2, d1 = torch.tensor([1.0, 0.5, 2.5]), torch.tensor([2.0, -1.0]), torch.tensor([2.0, 3.0, -1.0])
    tensors = {
        "1.weight": torch.outer(d1, X[0]),
        "1.bias": d1,
        "3.weight": torch.outer(d2, hidden),
        "3.bias": d2,
    }
    return {name: tensor[None] for name, tensor in tensors.items()}


def test_the_numbers_by_hand_are_those_of_autograd() -> None:
    logits = MODEL(X.reshape(1, *SHAPE))
    gradients = torch.autograd.grad((logits * torch.tensor([2.0, -1.0])).sum(), list(MODEL.parameters()))
    for gradient, expected in zip(gradients, update().values(), strict=True):
        torch.testing.assert_close(gradient, expected[0])


@pytest.mark.parametrize("read_biases", [False, True])
def test_with_the_true_weights_the_image_comes_out(read_biases: bool) -> None:
    pixels = network(read_biases=read_biases)(update())
    assert (pixels.shape, pixels.dtype) == ((1, *SHAPE), DTYPE)
    torch.testing.assert_close(pixels.flatten(), torch.tensor([1.0, 0.75], dtype=DTYPE))


def test_with_other_weights_it_does_not_unless_the_biases_tell() -> None:
    """They make ``d_1 = (1, 1, 1)`` of (2, -1); its inverse makes ``(2 + 3 - 1) / 3 = 4/3`` times the input."""
    blind, reading = network(), network(read_biases=True)
    blind.load({"3.weight": torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]])})
    torch.testing.assert_close(blind(update()).flatten(), (4 / 3 * X[0] * 0.5 + 0.5).to(DTYPE))
    assert (reading.names, list(reading.parameters())) == ([], [])
    torch.testing.assert_close(reading(update()).flatten(), torch.tensor([1.0, 0.75], dtype=DTYPE))


def test_the_guard_shrinks_every_solution() -> None:
    """By 1 / (1 + guard) for each system on the way: the last input, its output, the first input."""
    exact, guarded = ((network(guard=guard)(update()) - 0.5) / 0.5 for guard in (0.0, 0.1))
    assert (guarded < exact).all()


def test_a_multiple_of_the_update_is_the_same_image() -> None:
    scaled = {name: -0.01 * tensor for name, tensor in update().items()}
    torch.testing.assert_close(network()(scaled), network()(update()))


def test_samples_are_apart() -> None:
    several = {name: torch.cat([tensor, 3 * tensor]) for name, tensor in update().items()}
    torch.testing.assert_close(network()(several), network()(update()).expand(2, *SHAPE))


def test_estimates_have_the_names_of_the_leaked_model_and_can_be_put_back() -> None:
    own = network()
    assert own.names == ["3.weight"]
    named = own.named()["3.weight"]
    assert (named.dtype, named.requires_grad) == (torch.float32, False)
    torch.testing.assert_close(named, SECOND)
    own.load({"3.weight": torch.ones(2, 3)})
    assert own.named()["3.weight"].unique().tolist() == [1.0]
    torch.testing.assert_close(MODEL[3].weight.detach(), SECOND, msg="the leaked model's module is left alone")


def test_the_error_can_be_followed_to_the_weights() -> None:
    own = network()
    own(update()).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in own.parameters())


def test_it_needs_the_last_bias() -> None:
    with pytest.raises(AttackFailedError, match="needs a linear last layer with a bias"):
        network(nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2, bias=False)))
