from __future__ import annotations

import subprocess
import sys

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


def test_what_is_not_positive_definite_is_told_and_what_is_not_symmetric_is_refused() -> None:
    indefinite = torch.diag(torch.tensor([1.0, -3.0])).double()[None]
    solution, singular = tikhonov_solve(indefinite, torch.ones(1, 2, 1, dtype=torch.float64), weight=0.0)
    assert singular.tolist() == [True]
    assert solution.isnan().all()
    with pytest.raises(ValueError, match="symmetric"):
        tikhonov_solve(torch.tensor([[[1.0, 0.5], [0.0, 1.0]]]), torch.ones(1, 2, 1), weight=0.1)


def test_derivatives_are_those_of_the_solution() -> None:
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(3, 4, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    right = torch.randn(3, 4, 2, dtype=torch.float64, generator=generator, requires_grad=True)

    def solved(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return tikhonov_solve(a @ a.transpose(1, 2), b, weight=0.1)[0]

    assert torch.autograd.gradcheck(solved, (root, right))


TWO_THREADS = """
import torch
from fedleak.attacks.tikhonov import tikhonov_solve
torch.set_num_threads(2)
generator = torch.Generator().manual_seed(0)
for columns in (1, 12):
    factors = torch.randn(64, 256, 256, generator=generator, dtype=torch.float64)
    right = torch.randn(64, 256, columns, generator=generator, dtype=torch.float64)
    normal = factors @ factors.mT
    solution, singular = tikhonov_solve(normal, right, weight=1e-6)
    level = 1e-6 * normal.diagonal(dim1=1, dim2=2).mean(dim=1)
    rest = normal @ solution + level[:, None, None] * solution - right
    print(bool(singular.any()), float(rest.abs().max()) < 1e-8)
"""


def test_a_batch_of_the_size_of_a_lenets_is_solved_with_two_threads() -> None:
    """In a process of its own: MKL's LU factorisation raises there, or never returns."""
    done = subprocess.run([sys.executable, "-c", TWO_THREADS], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True"] * 2
