from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.attacks.tikhonov import tikhonov_solve


def test_by_hand() -> None:
    """The mean eigenvalue of diag(1, 3) is 2; with weight 1/2 the system is diag(2, 4)."""
    solution, singular = tikhonov_solve(torch.diag(torch.tensor([1.0, 3.0]))[None], torch.ones(1, 2, 1), weight=0.5)
    assert solution.flatten().tolist() == [0.5, 0.25]
    assert singular.tolist() == [False]


@pytest.mark.parametrize("weight", [0.0, 1e-9, 0.3])
def test_every_system_of_a_batch_is_solved_by_itself(weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(5, 7, 4, dtype=torch.float64, generator=generator)
    right = torch.randn(5, 4, 3, dtype=torch.float64, generator=generator)
    normal = factors.transpose(1, 2) @ factors
    solution, singular = tikhonov_solve(normal, right, weight=weight)
    assert not singular.any()
    for matrix, values, found in zip(normal.numpy(), right.numpy(), solution.numpy(), strict=True):
        level = weight * np.linalg.eigvalsh(matrix).mean()
        np.testing.assert_allclose(found, np.linalg.inv(matrix + level * np.eye(4)) @ values, rtol=1e-6)


def test_a_system_of_zeros_has_the_solution_zero_and_a_singular_one_is_told() -> None:
    normal = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)]).double()
    solution, singular = tikhonov_solve(normal, torch.zeros(2, 2, 1, dtype=torch.float64), weight=0.0)
    assert (solution[0] == 0).all()
    assert singular.tolist() == [False, True]
