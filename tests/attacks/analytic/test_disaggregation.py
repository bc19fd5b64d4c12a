"""Oracle: layers whose batch, gradients and zeros are chosen by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from fedleak.attacks.analytic.disaggregation import (
    Candidates,
    ReluLayer,
    assembled,
    disaggregated,
    exchanged,
    independent,
    low_rank,
    refined,
    sampled_directions,
    sparsest,
    vanishing,
)
from fedleak.errors import AttackFailedError

INPUTS = torch.tensor([[1.0, 2.0, -1.0, 0.5], [-2.0, 1.0, 3.0, 1.0], [0.5, -1.0, 1.0, 2.0]], dtype=torch.float64)


def layer(units: int = 24) -> tuple[ReluLayer, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A layer that reads ``INPUTS``, its ``dL/dZ`` ``(m, 3)``, ``dL/dW`` and ``dL/db``."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(units, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(units, generator=generator, dtype=torch.float64) / 4
    errors = torch.randn(units, 3, generator=generator, dtype=torch.float64)
    errors = errors * (weight @ INPUTS.T + bias[:, None] > 0)
    return ReluLayer(weight, bias), errors, errors @ INPUTS, errors.sum(dim=1)


def true_directions(factor: float = 1.0) -> torch.Tensor:
    """The columns of ``Q`` of that layer, of length one, as rows."""
    _, errors, gradient, _ = layer()
    return torch.nn.functional.normalize((low_rank(factor * gradient, 3).left.T @ errors).T, dim=1)


def test_factors_multiply_to_the_gradient() -> None:
    _, _, gradient, _ = layer()
    factors = low_rank(gradient, 3)
    torch.testing.assert_close(factors.left @ factors.right, gradient)
    torch.testing.assert_close(factors.left.T @ factors.left, torch.eye(3, dtype=torch.float64))


def test_a_gradient_of_another_rank_is_refused() -> None:
    _, errors, gradient, _ = layer()
    with pytest.raises(AttackFailedError, match="does not have the rank of 4 different images"):
        low_rank(gradient, 4)
    noise = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(AttackFailedError, match="post-processing"):
        low_rank(10 * noise + errors @ INPUTS, 2)


def test_kernels_of_rows_on_which_an_image_is_off_are_its_column(generator: torch.Generator) -> None:
    """Naive: all pairs of rows of the factor; those where one image switches both units off give its direction."""
    _, errors, gradient, _ = layer()
    left, truth = low_rank(gradient, 3).left, true_directions()
    for first, second in combinations(range(8), 2):
        rows = left[[first, second]]
        kernel = torch.linalg.svd(rows, full_matrices=True).Vh[-1]
        for image in range(3):
            if not errors[[first, second], image].any() and torch.linalg.matrix_rank(rows, rtol=1e-9) == 2:
                assert abs(float(kernel @ truth[image])) == pytest.approx(1, abs=1e-9)
    found = sampled_directions(left, 200, generator)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found), dtype=torch.float64))
    assert ((found @ truth.T).abs() > 1 - 1e-9).any(dim=0).all()


def test_one_image_has_one_direction(generator: torch.Generator) -> None:
    assert sampled_directions(torch.ones(5, 1, dtype=torch.float64), 7, generator).tolist() == [[1.0]]


def test_units_that_no_image_switches_on_are_left_out(generator: torch.Generator) -> None:
    left = torch.eye(3, dtype=torch.float64)
    dead = torch.cat([left, torch.zeros(50, 3, dtype=torch.float64)])
    found = sampled_directions(dead, 50, generator)
    assert len(found)
    assert ((found.abs() - 1).abs() < 1e-12).any(dim=1).all()
    assert sampled_directions(dead[1:], 50, generator).shape == (0, 3)


def test_zeros_by_hand() -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1e-4, 1.0]])
    assert vanishing(left, torch.tensor([[1.0, 0.0]]), 1e-3).tolist() == [[False, True, True]]
    assert vanishing(left, torch.tensor([[1.0, 0.0]]), 1e-5).tolist() == [[False, True, False]]


def test_a_direction_is_solved_for_again_from_all_its_zeros() -> None:
    _, _, gradient, _ = layer()
    factors, truth = low_rank(gradient, 3), true_directions()[0]
    bent = torch.nn.functional.normalize(truth + 1e-5 * truth.roll(1), dim=0)
    assert abs(float(bent @ truth)) < 1 - 1e-12
    assert abs(float(refined(factors, bent) @ truth)) == pytest.approx(1, abs=1e-14)


def test_candidates_are_kept_once_and_only_if_they_are_sparse() -> None:
    _, errors, gradient, _ = layer()
    truth = true_directions()
    candidates = Candidates(low_rank(gradient, 3), 0.2)
    mixture = torch.nn.functional.normalize(truth.sum(dim=0), dim=0)
    assert candidates.add(torch.stack([truth[0], mixture, -truth[0], truth[1]]))
    assert not candidates.add(truth[:2])
    assert candidates.zeros.tolist() == (errors == 0).sum(dim=0)[:2].tolist()
    assert candidates.add(truth[2:])
    order = (errors == 0).sum(dim=0).argsort(descending=True, stable=True)
    torch.testing.assert_close((candidates.directions * truth[order]).sum(dim=1).abs(), torch.ones(3).double())


def test_independent_rows_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1e-6], [0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
    assert independent(rows) == [0, 2]
    assert independent(rows[:2]) == [0]


@pytest.mark.parametrize("factor", [1.0, -0.03])
def test_the_true_directions_give_the_batch_whatever_the_factor(factor: float) -> None:
    relu, _, gradient, bias = layer()
    found = assembled(low_rank(factor * gradient, 3), relu, factor * bias, true_directions(factor))
    assert found.match == 1.0
    error = torch.cdist(found.inputs, INPUTS).amin(dim=0).max()
    assert float(error) < 1e-9


def test_a_wrong_direction_is_exchanged_for_the_one_that_matches() -> None:
    relu, _, gradient, bias = layer()
    truth, factors = true_directions(), low_rank(gradient, 3)
    wrong = torch.nn.functional.normalize(truth[0] + truth[1], dim=0)
    first = assembled(factors, relu, bias, torch.stack([wrong, truth[0], truth[2]]))
    assert first.match < 0.9
    candidates = torch.stack([wrong, truth[0], truth[2], truth[1]])
    kept = sparsest(factors, relu, bias, candidates)
    assert kept is not None
    assert kept.match == first.match
    found = exchanged(factors, relu, bias, candidates)
    assert found is not None
    assert found.match == 1.0
    assert exchanged(factors, relu, bias, truth[:2]) is None
    assert sparsest(factors, relu, bias, truth[:2]) is None


def test_few_submatrices_are_not_sampled_forever(generator: torch.Generator) -> None:
    """Two units: each is a submatrix of one row."""
    relu, errors, gradient, bias = layer()
    seen: list[int] = []
    two = errors.any(dim=1).nonzero()[:2, 0]
    disaggregated(
        low_rank(gradient[two], 2),
        ReluLayer(relu.weight[two], relu.bias[two]),
        bias[two],
        samples=10_000,
        sparsity=0.0,
        enough=1.1,
        generator=generator,
        reached=lambda done, match: bool(seen.append(done)),
    )
    assert seen == [40]


@pytest.mark.parametrize(
    ("enough", "ends", "blocks"), [(1.0, False, [128]), (1.1, True, [128]), (1.1, False, [128, 384, 896])]
)
def test_the_search_ends_when_it_has_found_the_batch_or_is_told(
    generator: torch.Generator, enough: float, ends: bool, blocks: list[int]
) -> None:
    relu, _, gradient, bias = layer()
    seen: list[int] = []

    def told(done: int, match: float) -> bool:
        seen.append(done)
        return ends

    found = disaggregated(
        low_rank(gradient, 3), relu, bias, samples=5000, sparsity=0.2, enough=enough, generator=generator, reached=told
    )
    assert found is not None
    assert found.match == 1.0
    assert seen == blocks
