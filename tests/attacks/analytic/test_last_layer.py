from __future__ import annotations

import pytest
import torch

from fedleak.attacks.analytic.last_layer import solve_last_layer
from fedleak.errors import AttackFailedError

WEIGHT = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BIAS = torch.tensor([0.1, -0.2, 0.3, 0.0], dtype=torch.float64)
FEATURES = torch.tensor([0.5, -1.0, 2.0, 0.1, 0.0, 0.7], dtype=torch.float64)
LABEL = 2


def gradients(*, bias: bool) -> dict[str, torch.Tensor]:
    output_gradient = (WEIGHT @ FEATURES + (BIAS if bias else 0)).softmax(dim=0)
    output_gradient[LABEL] -= 1
    shared = {"w.weight": torch.outer(output_gradient, FEATURES)}
    return shared | {"w.bias": output_gradient} if bias else shared


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_with_a_bias_everything_is_exact_at_any_scale(scale: float) -> None:
    shared = {name: scale * tensor for name, tensor in gradients(bias=True).items()}
    found = solve_last_layer(shared, {"w.weight": WEIGHT, "w.bias": BIAS}, "w")
    torch.testing.assert_close(found.features, FEATURES)
    torch.testing.assert_close(found.output_gradient, gradients(bias=True)["w.bias"])
    assert (found.label, found.scale) == (LABEL, pytest.approx(scale))


def test_without_a_bias_the_size_of_the_features_is_found() -> None:
    found = solve_last_layer(gradients(bias=False), {"w.weight": WEIGHT}, "w")
    torch.testing.assert_close(found.features, FEATURES)
    assert found.label == LABEL


@pytest.mark.parametrize("bias", [True, False])
def test_a_zero_gradient_is_a_failed_attack(bias: bool) -> None:
    zero = {name: torch.zeros_like(tensor) for name, tensor in gradients(bias=bias).items()}
    with pytest.raises(AttackFailedError, match="zero or not finite"):
        solve_last_layer(zero, {"w.weight": WEIGHT, "w.bias": BIAS}, "w")
