from __future__ import annotations

import math

import pytest
import torch
from torch.func import grad, vmap

from fedleak.attacks.inversion.distances import SCALE_FREE, Distance, DistanceName
from fedleak.errors import AttackFailedError

TRIAL = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[2.0]])}
SHARED = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([[-1.0]])}
KINDS = list(DistanceName.__args__)  # type: ignore[attr-defined]


def value(distance: Distance) -> float:
    masked = distance.top_share < 1
    mask = {name: distance.mask(tensor) for name, tensor in SHARED.items()} if masked else {}
    return float(distance(TRIAL, SHARED, mask))


COSINE = -1 / math.sqrt(9 * 2)  # <g', g> = 1 - 2, ||g'||^2 = 1 + 4 + 4, ||g||^2 = 1 + 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("squared_l2", 4 + 9),
        ("l2_per_layer", 2 + 3),
        ("l1_cosine_per_layer", (1 + 1 - 1 / math.sqrt(5)) + (3 + 2)),
        ("cosine", 1 - COSINE),
        ("cosine_per_layer", ((1 - 1 / math.sqrt(5)) + 2) / 2),
        ("angular", math.acos(COSINE) / math.pi),
        # a: ||difference||^2 = 4, squared deviations of (1, 0) sum to 1/2; b: a single number has none
        ("gaussian_kernel", (1 - math.exp(-8)) + 1),
    ],
)
def test_by_hand(kind: DistanceName, expected: float) -> None:
    assert value(Distance(kind=kind)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "expected"), [("linear", 4 * 2 / 3 + 9 * 4 / 3), ("inverse", 4 * 4 / 3 + 9 * 2 / 3)]
)
def test_layer_weights_by_hand(weights: str, expected: float) -> None:
    assert value(Distance.model_validate({"kind": "squared_l2", "layer_weights": weights})) == pytest.approx(expected)


NAMES = ["block1.conv.weight", "block1.norm.bias", "block10.conv.weight", "fc.bias"]


def test_only_named_layers_count() -> None:
    assert value(Distance(kind="squared_l2", layers=("b*",))) == pytest.approx(9)


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        (("block1",), ["block1.conv.weight", "block1.norm.bias"]),
        (("block1.conv", "fc.bias"), ["block1.conv.weight", "fc.bias"]),
        (("block?.norm",), ["block1.norm.bias"]),
        (("*.conv",), ["block1.conv.weight", "block10.conv.weight"]),
        ((), NAMES),
    ],
)
def test_a_module_is_named_by_itself_or_with_its_parameters(layers: tuple[str, ...], chosen: list[str]) -> None:
    assert list(Distance(layers=layers).selected(NAMES)) == chosen


def test_only_the_largest_coordinates_count() -> None:
    """Half of ``a`` is its first coordinate, where both agree; half of ``b`` is all of it."""
    assert value(Distance(kind="squared_l2", top_share=0.5)) == pytest.approx(9)


def test_the_largest_coordinates_of_the_trial_update_count() -> None:
    """In ``a`` the second coordinate: 2 against 0; the shared update's largest is the first."""
    assert value(Distance(kind="squared_l2", top_share=0.5, top_of="trial")) == pytest.approx(4 + 9)
    assert value(Distance(kind="squared_l2", top_share=0.5)) == pytest.approx(0 + 9)


def test_ties_with_the_smallest_of_the_largest_count_too() -> None:
    """As in a layer whose units are mostly dead."""
    trial, shared = {"a": torch.tensor([0.0, 0.0, 0.0, 1.0])}, {"a": torch.tensor([1.0, 1.0, 1.0, 1.0])}
    assert float(Distance(kind="squared_l2", top_share=0.5, top_of="trial")(trial, shared, {})) == 3


def test_the_choice_of_coordinates_is_not_differentiated_and_can_be_vectorised() -> None:
    distance = Distance(kind="l1_cosine_per_layer", top_share=0.5, top_of="trial")
    trials, shared = torch.tensor([[1.0, 3.0, -2.0, 0.5], [0.1, 0.2, 4.0, -5.0]]), torch.tensor([2.0, 1.0, 1.0, 1.0])
    slopes = vmap(grad(lambda trial: distance({"a": trial}, {"a": shared}, {})))(trials)
    assert (slopes != 0).tolist() == [[False, True, True, False], [False, False, True, True]]


def test_the_scale_multiplies() -> None:
    assert value(Distance(kind="l2_per_layer", scale=1e-3)) == pytest.approx(0.005)


def test_no_matching_layer_is_a_failed_attack() -> None:
    with pytest.raises(AttackFailedError, match="parameters: a, b"):
        value(Distance(layers=("conv*",)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_is_nearest_to_itself_with_a_finite_gradient(kind: DistanceName) -> None:
    generator = torch.Generator().manual_seed(0)
    shared = {"a": torch.randn(5, generator=generator), "b": torch.randn(3, 2, generator=generator)}
    trial = {name: tensor.clone().requires_grad_(True) for name, tensor in shared.items()}
    distance = Distance(kind=kind)
    at_home = distance(trial, shared, {})
    gradients = torch.autograd.grad(at_home, list(trial.values()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert float(at_home.detach()) == pytest.approx(0, abs=1e-3)
    away = distance({name: tensor + 0.5 for name, tensor in shared.items()}, shared, {})
    assert float(away) > float(at_home.detach()) + 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_scale_free_is_what_it_says(kind: DistanceName) -> None:
    distance = Distance(kind=kind)
    doubled = float(distance(TRIAL, {name: 2 * tensor for name, tensor in SHARED.items()}, {}))
    assert (doubled == pytest.approx(float(distance(TRIAL, SHARED, {})), rel=1e-5)) == (kind in SCALE_FREE)
