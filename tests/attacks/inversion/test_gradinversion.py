from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fedleak.attacks.inversion.gradinversion import GradInversion
from fedleak.attacks.inversion.idlg import Idlg
from fedleak.attacks.inversion.priors import mean_consensus, registered_consensus, shifted
from fedleak.attacks.inversion.tensors import search_tensors
from fedleak.models.convnet import ConvNet
from tests.attacks.inversion.builders import victim

QUICK = {
    "iterations": 120,
    "restarts": 2,
    "group": {"consensus": "registered", "start": 60, "refresh": 30},
    "priors": {"total_variation": 1e-5, "l2": 1e-7, "batch_norm": 1e-5, "group": 1e-5},
}
"""The paper's weights are for ResNet-50 on 224x224 images; here they would drown the gradient."""


def test_it_runs_through_its_phases_and_matches_better_than_it_began() -> None:
    one = victim(ConvNet(widths=(8, 8)), count=2, uniform=False)
    answer = one.attacked_by(GradInversion.model_validate(QUICK))
    loss = answer.curve["matching_loss"]
    assert min(loss) < 0.5 * loss[0]
    assert answer.images.shape == (2, 1, 8, 8)


def test_the_papers_settings_are_the_defaults() -> None:
    attack = GradInversion()
    priors = attack.priors
    assert (priors.total_variation, priors.l2, priors.batch_norm, priors.group) == (1e-4, 1e-6, 0.1, 0.01)
    assert priors.total_variation_kind == "norms"
    assert (attack.iterations, attack.restarts, attack.distance.scale) == (20_000, 8, 1e-3)
    assert (attack.optimiser.warm_up, attack.optimiser.langevin, attack.optimiser.schedule) == (50, 0.2, "cosine")


def regrouped(group: dict[str, Any], code: torch.Tensor, iterations: list[int]) -> list[torch.Tensor]:
    """The consensus that the attack itself holds up to its restarts in each of the iterations."""
    one, attack = victim(uniform=False), GradInversion.model_validate({"restarts": len(code), "group": group})
    problem = attack.problem(one.bundle(attack))
    some = search_tensors(problem, attack.distance, restarts=len(code), box=True)
    regroup, seen = attack._regroup(problem), []
    for iteration in iterations:
        some = regroup({"code": code + iteration}, some, iteration)
        seen.append(some.trials.consensus["images"])
    return seen


def test_the_consensus_is_the_pixel_mean_until_registration_starts_and_is_refreshed_now_and_then() -> None:
    image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    code = torch.stack([shifted(image, 0, right) for right in (0, 0, 1)])
    group = {"consensus": "registered", "start": 4, "refresh": 3, "largest_shift": 2}
    third, fourth, fifth, sixth = regrouped(group, code, [3, 4, 5, 6])
    torch.testing.assert_close(third, mean_consensus(code + 3).expand_as(code))
    torch.testing.assert_close(fourth, registered_consensus(code + 4, largest_shift=2).expand_as(code))
    assert not torch.allclose(fourth, mean_consensus(code + 4).expand_as(code))
    assert torch.equal(fifth, fourth)
    torch.testing.assert_close(sixth, registered_consensus(code + 6, largest_shift=2).expand_as(code))


def test_a_lazy_consensus_is_the_pixel_mean_in_every_iteration() -> None:
    code = torch.randn(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for iteration, consensus in zip((0, 1, 500), regrouped({"consensus": "lazy"}, code, [0, 1, 500]), strict=True):
        torch.testing.assert_close(consensus, mean_consensus(code + iteration).expand_as(code))


@pytest.mark.parametrize("consensus", ["lazy", "registered"])
def test_a_lost_restart_does_not_pull_the_others_down(consensus: str) -> None:
    """One that is not a number has no say in what the group agrees on."""
    one = victim(uniform=False)
    attack = GradInversion.model_validate(
        {**QUICK, "restarts": 3, "group": {"consensus": consensus, "start": 0, "refresh": 1}}
    )
    problem = attack.problem(one.bundle(attack))
    trials = attack._prepared(problem, torch.Generator().manual_seed(0))
    assert not isinstance(trials, Exception)
    trials.start["code"][1] = torch.nan
    outcome = attack._engine(problem).run(
        trials.start, trials.tensors, iterations=60, generators=[trials.generator], regroup=attack._regroup(problem)
    )
    assert torch.isfinite(outcome.trace).sum(dim=0).tolist() == [60, 0, 60]
    assert outcome.losses[1] == torch.inf


def test_restarts_that_are_run_one_by_one_cannot_agree() -> None:
    with pytest.raises(ValidationError, match="group prior needs optimiser adam"):
        Idlg.model_validate({"priors": {"group": 0.1}})
