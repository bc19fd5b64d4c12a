from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedleak.attacks.generative.ridge import Grouped, ScoredSolution, _solve_jointly, group_means, solve
from fedleak.errors import AttackFailedError
from fedleak.progress import QuietProgress


def problem(seed: int = 0, *, pairs: int = 24, noise: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and groups; every group has a linear map and an intercept of its own."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(pairs, 5, generator=draw).to(torch.float16).to(torch.float32)
    groups = torch.arange(pairs) % 3
    maps = torch.randn(3, 5, 2, generator=draw)
    targets = torch.einsum("pf,pfo->po", features, maps[groups]) + groups[:, None]
    return features, targets + noise * torch.randn(targets.shape, generator=draw), groups


def solved(
    features: Tensor, targets: Tensor, groups: Tensor, *, sharing: float, penalty: float
) -> tuple[Grouped, ScoredSolution]:
    grouped = Grouped.of(features.to(torch.float16), targets, groups, torch.ones(features.shape[1]), count=3)
    candidates = (0.0,) if sharing == 0 else (sharing,)
    outcome = solve(
        grouped, targets, regularisation=(penalty,), sharing=candidates, progress=QuietProgress(), name="test"
    )
    return grouped, outcome


def test_means_of_groups_and_of_all_where_a_group_has_fewer_than_two() -> None:
    values = torch.tensor([[1.0], [3.0], [8.0]])
    means = group_means(values, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(means, torch.tensor([[2.0], [4.0], [4.0]]))


def test_without_sharing_it_is_ridge_regression_with_an_intercept_in_every_group() -> None:
    """Against the primal solution by hand: the penalty is relative to the mean squared norm of centred features."""
    features, targets, groups = problem()
    grouped, outcome = solved(features, targets, groups, sharing=0, penalty=0.1)
    centred = grouped.features.double()
    penalty = 0.1 * float(centred.square().sum(dim=1).mean())
    query = torch.randn(5, generator=torch.Generator().manual_seed(1))
    for group in range(3):
        x, y = centred[groups == group], targets[groups == group].double()
        weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(5), x.T @ (y - y.mean(dim=0)))
        expected = y.mean(dim=0) + ((query - grouped.centres[group]) * grouped.scales).double() @ weights
        predicted = grouped.predict(outcome.solution, query, group)
        torch.testing.assert_close(predicted.double(), expected, rtol=1e-4, atol=1e-4)


def test_leave_one_out_of_one_group_equals_leaving_every_pair_out_by_hand() -> None:
    """The penalty stays what it was with all pairs; the intercept is fitted anew."""
    features, targets, _ = problem(pairs=12)
    groups = torch.zeros(12, dtype=torch.int64)
    grouped, outcome = solved(features, targets, groups, sharing=0, penalty=0.3)
    penalty = 0.3 * float(grouped.features.double().square().sum(dim=1).mean())
    for i in range(12):
        rest = torch.arange(12) != i
        x, y = grouped.features[rest].double(), targets[rest].double()
        centred = x - x.mean(dim=0)
        weights = torch.linalg.solve(centred.T @ centred + penalty * torch.eye(5), centred.T @ (y - y.mean(dim=0)))
        expected = y.mean(dim=0) + (grouped.features[i].double() - x.mean(dim=0)) @ weights
        torch.testing.assert_close(
            outcome.leave_one_out[i].double(), expected, rtol=2e-3, atol=2e-3
        )  # float16 centring
    error = float((outcome.leave_one_out - targets).square().mean())
    assert outcome.error == pytest.approx(error, rel=1e-4)


def test_leave_one_out_with_sharing_equals_solving_again_without_the_pair() -> None:
    """The full system of kernel ridge regression with free intercepts, once for every pair left out."""
    features, targets, groups = problem(pairs=15)
    grouped, _ = solved(features, targets, groups, sharing=0, penalty=0.2)
    left_out = solve_alone(grouped, targets, sharing=0.5, penalty=0.2)
    centred = grouped.features.double()
    same = (groups[:, None] == groups).double()
    kernel = (0.5 + same) * (centred @ centred.T)
    intercepts = torch.nn.functional.one_hot(groups, 3).double()
    for i in range(15):
        rest = torch.arange(15) != i
        z = intercepts[rest]
        ridge = kernel[rest][:, rest] + 0.2 * torch.eye(14)
        system = torch.cat([torch.cat([ridge, z], dim=1), torch.cat([z.T, torch.zeros(3, 3)], dim=1)])
        answer = torch.linalg.solve(system, torch.cat([targets[rest].double(), torch.zeros(3, 2)]))
        expected = kernel[i][rest] @ answer[:14] + answer[14:][groups[i]]
        torch.testing.assert_close(
            targets[i].double() - left_out[i], expected, rtol=2e-2, atol=2e-2
        )  # float16 is not centred exactly


def solve_alone(grouped: Grouped, targets: Tensor, *, sharing: float, penalty: float) -> Tensor:
    """Leave-one-out residuals of one joint candidate."""
    residual = (targets - grouped.means[grouped.groups]).double()
    return _solve_jointly(grouped, residual, sharing, penalty)[1]


def test_groups_with_one_map_learn_from_each_other() -> None:
    draw = torch.Generator().manual_seed(3)
    features = torch.randn(30, 20, generator=draw)
    groups = torch.arange(30) % 3
    targets = features @ torch.randn(20, 2, generator=draw)
    apart = solved(features, targets, groups, sharing=0, penalty=1e-3)[1]
    shared = solved(features, targets, groups, sharing=1.0, penalty=1e-3)[1]
    assert shared.solution.sharing == 1.0
    assert shared.error < 0.5 * apart.error


@pytest.mark.parametrize("sharing", [(), (0.5,)])
def test_a_group_without_pairs_is_met_with_the_mean_of_all_targets(sharing: tuple[float, ...]) -> None:
    features, targets, groups = problem()
    grouped = Grouped.of(features.to(torch.float16), targets, groups, torch.ones(features.shape[1]), count=5)
    outcome = solve(grouped, targets, regularisation=(0.1,), sharing=sharing, progress=QuietProgress(), name="test")
    torch.testing.assert_close(grouped.predict(outcome.solution, features[0], 4), targets.mean(dim=0))


def test_the_best_regularisation_by_leave_one_out_is_taken() -> None:
    features, targets, groups = problem(noise=2.0, pairs=30)
    grouped = Grouped.of(features.to(torch.float16), targets, groups, torch.ones(features.shape[1]), count=3)
    errors = {p: solved(features, targets, groups, sharing=0, penalty=p)[1].error for p in (1e-6, 1e-2, 1.0, 1e3)}
    outcome = solve(grouped, targets, regularisation=tuple(errors), sharing=(), progress=QuietProgress(), name="test")
    assert outcome.solution.regularisation == min(errors, key=lambda p: errors[p])
    assert outcome.error == pytest.approx(min(errors.values()))


def test_features_that_are_not_numbers_are_a_failed_attack() -> None:
    features, targets, groups = problem()
    targets[0] = torch.nan
    with pytest.raises(AttackFailedError, match="no finite solution"):
        solved(features, targets, groups, sharing=0, penalty=0.1)
