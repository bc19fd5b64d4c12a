"""States of searches, kept and taken up again; ``tests/stages/attack/test_unfinished.py`` does so with real attacks."""

from __future__ import annotations

import math

import pytest
import torch

from fedleak.attacks.inversion.objective import BroadcastTensors, SearchTensors, TrialTensors
from fedleak.attacks.inversion.states import AdamState, LbfgsState, nothing_yet

TENSORS = SearchTensors(BroadcastTensors({}, {}), TrialTensors(target={}))


def start() -> AdamState:
    return AdamState.start({"code": torch.zeros(2, 1, 3)})


def after(state: AdamState, *losses: float) -> AdamState:
    for loss in losses:
        matching = torch.tensor([loss, math.inf])
        best = state.best._replace(loss=torch.minimum(state.best.loss, matching))
        state = state.after({"code": state.variables["code"] + 1}, state.moments, best, matching)
    return state


def test_a_kept_state_is_the_same_state() -> None:
    state = after(start(), 3.0, 2.0).checked(plateau=0)
    generator, noise = torch.Generator().manual_seed(5), torch.Generator().manual_seed(6)
    tensors = TENSORS.with_consensus(torch.full((2, 1, 3), 7.0))
    kept = state.kept(tensors, [generator.get_state()])
    again, found = start().again(kept, TENSORS, [noise])
    assert (again.iteration, again.mark, again.marked_at, again.ended) == (2, 2.0, 1, False)
    assert again.variables["code"].equal(state.variables["code"])
    assert again.best.loss.equal(state.best.loss)
    assert [loss.tolist() for loss in again.trace] == [[3.0, math.inf], [2.0, math.inf]]
    assert found.trials.consensus["images"].equal(tensors.trials.consensus["images"])
    assert torch.rand(3, generator=noise).equal(torch.rand(3, generator=generator))


def test_a_kept_state_does_not_see_later_losses() -> None:
    early = after(start(), 3.0)
    after(early, 2.0, 1.0)
    assert early.kept(TENSORS, [])["trace"].tolist() == [[3.0, math.inf]]


@pytest.mark.parametrize(
    ("losses", "plateau", "ended"), [((4.0, 4.0), 1, True), ((4.0, 4.0), 0, False), ((4.0, 1.0), 1, False)]
)
def test_a_search_ends_on_a_plateau(losses: tuple[float, float], plateau: int, *, ended: bool) -> None:
    first = after(start(), losses[0]).checked(plateau=plateau)
    assert after(first, losses[1]).checked(plateau=plateau).ended == ended


def test_a_search_ends_when_all_trials_are_lost() -> None:
    assert after(start(), math.nan).checked(plateau=0).ended


def test_lbfgs_takes_up_point_history_and_best() -> None:
    point = {"code": torch.ones(1, 1, 3, requires_grad=True)}
    solver = torch.optim.LBFGS(list(point.values()), max_iter=2)

    def closure() -> float:
        loss = (point["code"] - 3).square().sum()
        solver.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    solver.step(closure)  # type: ignore[no-untyped-call]
    state = LbfgsState(nothing_yet({"code": point["code"].detach()}), [12.0], iteration=1, before=12.0)
    kept = state.kept(point, solver)
    other = {"code": torch.zeros(1, 1, 3, requires_grad=True)}
    fresh = torch.optim.LBFGS(list(other.values()), max_iter=2)
    again = LbfgsState.again(kept, other, fresh)
    assert (again.iteration, again.before, again.trace) == (1, 12.0, [12.0])
    assert other["code"].equal(point["code"])
    old, new = (one.state_dict()["state"][0] for one in (solver, fresh))
    assert new["n_iter"] == old["n_iter"]
    assert all(a.equal(b) for a, b in zip(new["old_dirs"], old["old_dirs"], strict=True))
