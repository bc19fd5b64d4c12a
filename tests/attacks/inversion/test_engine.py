from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.objective import Objective, SearchTensors
from fedleak.attacks.inversion.optimisers import Optimiser, adam_rates, adam_step, no_moments
from fedleak.attacks.inversion.outcome import Inversion
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.states import KeptName
from fedleak.steps import StepReport, listening
from fedleak.tensors import Tensors
from tests.attacks.inversion.builders import victim
from tests.attacks.inversion.test_objective import code, known, objective

ONE = victim()
ADAM = Optimiser(kind="adam", learning_rate=0.05, schedule="constant")
LBFGS = Optimiser(kind="lbfgs", learning_rate=1.0, schedule="constant", inner_steps=2, line_search=True)


def run(
    start: torch.Tensor,
    optimiser: Optimiser = ADAM,
    *,
    iterations: int = 40,
    seed: int = 0,
    minimised: Objective | None = None,
    box: dict[str, torch.Tensor] | None = None,
    keep: KeptName = "lowest",
) -> Inversion:
    some = known(ONE, len(start), ONE.labels)
    some = some._replace(model=some.model._replace(box=box or {}))
    engine = Engine(minimised or objective(ONE), optimiser, compiled=False)
    generator = torch.Generator().manual_seed(seed)
    return engine.run({"code": start}, some, iterations=iterations, generators=[generator], keep=keep)


@pytest.mark.parametrize(
    "optimiser", [ADAM, LBFGS, Optimiser(kind="signed_adam", learning_rate=0.05)], ids=lambda o: o.kind
)
def test_the_best_iterate_is_the_one_with_the_lowest_matching_loss(optimiser: Optimiser) -> None:
    start = code(2, 1)
    outcome = run(start, optimiser)
    assert outcome.trace.shape[1] == 2
    assert (outcome.losses < 0.5 * outcome.trace[0]).all()
    _, _, again = objective(ONE).value_and_gradient(outcome.variables, known(ONE, 2, ONE.labels))
    torch.testing.assert_close(again, outcome.losses, rtol=1e-3, atol=1e-6)
    if optimiser.kind != "lbfgs":
        torch.testing.assert_close(outcome.losses, outcome.trace.min(dim=0).values)


@pytest.mark.parametrize("optimiser", [ADAM, LBFGS], ids=["adam", "lbfgs"])
def test_a_trial_that_is_not_a_number_is_dropped(optimiser: Optimiser) -> None:
    start = code(3, 1)
    alone = run(start[:1], optimiser, iterations=20)
    start[1] = torch.nan
    outcome = run(start, optimiser, iterations=20)
    assert outcome.losses[1] == torch.inf
    assert int(outcome.losses.argmin()) != 1
    torch.testing.assert_close(outcome.losses[0], alone.losses[0], rtol=0.2, atol=1e-4)


def test_it_stops_when_every_trial_is_lost() -> None:
    outcome = run(torch.full((2, 1, 1, 8, 8), torch.nan), iterations=500)
    assert len(outcome.trace) == 50


def test_it_stops_on_a_plateau() -> None:
    still = Optimiser(kind="adam", learning_rate=1e-12, schedule="constant", plateau=100)
    assert len(run(code(1, 1), still, iterations=1000).trace) <= 200


def test_it_tells_iteration_and_loss_to_a_listener_and_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedleak.steps.SECONDS", 0.0)
    for optimiser in (ADAM, LBFGS):
        reports: list[StepReport] = []
        with listening(reports.append):
            told = run(code(1, 1), optimiser, iterations=6)
        assert [(report.what, report.done, report.total) for report in reports] == [
            ("iteration", i, 6) for i in range(1, 7)
        ]
        assert reports[-1].value == pytest.approx(float(told.losses.min()))
        assert torch.equal(told.losses, run(code(1, 1), optimiser, iterations=6).losses)


@pytest.mark.parametrize("optimiser", [ADAM, LBFGS], ids=["adam", "lbfgs"])
def test_the_start_stays_as_it_was(optimiser: Optimiser) -> None:
    start = code(2, 1)
    kept = start.clone()
    run(start, optimiser, iterations=3)
    assert torch.equal(start, kept)


def test_langevin_noise_comes_from_the_generator_alone() -> None:
    noisy = Optimiser(kind="adam", learning_rate=0.05, langevin=0.2)
    first = run(code(2, 1), noisy, iterations=5)
    torch.rand(9)  # whatever else draws from the global stream
    second, other = run(code(2, 1), noisy, iterations=5), run(code(2, 1), noisy, iterations=5, seed=1)
    assert torch.equal(first.trace, second.trace)
    assert not torch.equal(first.trace, other.trace)


def test_pixels_stay_in_the_box() -> None:
    box = {"low": torch.full((1, 1, 1), -0.5), "high": torch.full((1, 1, 1), 0.5)}
    outcome = run(0.1 * code(2, 1), iterations=30, box=box)
    assert float(outcome.variables["code"].abs().max()) == 0.5


def test_the_group_pulls_restarts_together() -> None:
    """After the same iterations the restarts lie nearer to each other than without."""

    def spread(weight: float) -> float:
        minimised = objective(ONE)
        minimised = replace(minimised, priors=minimised.priors.model_copy(update={"group": weight}))
        engine = Engine(minimised, ADAM, compiled=False)

        def regroup(variables: dict[str, torch.Tensor], some: SearchTensors, iteration: int) -> SearchTensors:
            mean = variables["code"].mean(dim=0, keepdim=True).expand_as(variables["code"])
            return some.with_consensus(mean)

        outcome = engine.run(
            {"code": code(4, 1)},
            known(ONE, 4, ONE.labels),
            iterations=40,
            generators=[torch.Generator()],
            regroup=regroup if weight else None,
        )
        return float(outcome.variables["code"].std(dim=0).mean())

    assert spread(0.05) < 0.9 * spread(0.0)


def test_lbfgs_keeps_a_trace_of_the_matching_loss_alone() -> None:
    """Priors steer the search, but do not show in its curve."""
    minimised = replace(objective(ONE), priors=Priors(l2=100.0))
    start = code(1, 1)
    outcome = run(start, LBFGS, iterations=3, minimised=minimised)
    _, total, matching = minimised.value_and_gradient({"code": start}, known(ONE, 1, ONE.labels))
    torch.testing.assert_close(outcome.trace[0], matching)
    assert float(total) > 10 * float(matching)


def test_the_blended_gradient_by_hand() -> None:
    """Half of the gradient here, half of that 0.1 further uphill (arXiv 2202.03599, Eq. 9)."""
    minimised, start, some = objective(ONE), code(1, 1), known(ONE, 1, ONE.labels)
    optimiser = Optimiser(kind="adam", learning_rate=0.05, gradient_blend=0.5, gradient_step=0.1)
    here, _, _ = minimised.value_and_gradient({"code": start}, some)
    uphill = start + 0.1 * here["code"] / here["code"].norm()
    there, _, _ = minimised.value_and_gradient({"code": uphill}, some)
    blended = Engine(minimised, optimiser, compiled=False)._blended({"code": start}, here, some)
    torch.testing.assert_close(blended["code"], 0.5 * here["code"] + 0.5 * there["code"])


def test_a_blended_gradient_still_descends() -> None:
    blended = Optimiser(kind="adam", learning_rate=0.05, schedule="constant", gradient_blend=0.5)
    outcome = run(code(2, 1), blended)
    assert (outcome.losses < 0.5 * outcome.trace[0]).all()
    assert not torch.equal(outcome.trace, run(code(2, 1)).trace)


@pytest.mark.parametrize(("optimiser", "iterations"), [(ADAM, 60), (LBFGS, 12)], ids=["adam", "lbfgs"])
def test_the_last_iterate_is_the_one_after_the_last_step(optimiser: Optimiser, iterations: int) -> None:
    """A strong prior: the iterate that matches best is an early one, and the last one is smoother."""
    minimised = replace(objective(ONE), priors=Priors(total_variation=100.0))
    start = code(2, 1)
    last, lowest = (
        run(start, optimiser, minimised=minimised, iterations=iterations, keep=keep) for keep in ("last", "lowest")
    )
    assert torch.equal(last.trace, lowest.trace)
    _, total, matching = minimised.value_and_gradient(last.variables, known(ONE, 2, ONE.labels))
    torch.testing.assert_close(last.losses, matching)
    assert (last.losses > lowest.losses).all()
    _, of_lowest, _ = minimised.value_and_gradient(lowest.variables, known(ONE, 2, ONE.labels))
    assert (total < of_lowest).all()
    one_more = run(start, optimiser, minimised=minimised, iterations=iterations + 1, keep="last")
    torch.testing.assert_close(one_more.trace[iterations], last.losses, rtol=1e-4, atol=1e-6)


def test_a_last_iterate_that_is_lost_gives_way_to_the_best_one() -> None:
    wild = Optimiser(kind="adam", learning_rate=10.0, schedule="constant")
    minimised, calls = objective(ONE), [0]
    evaluate = Objective.over_trials

    def lost_at_the_end(self: Objective, variables: Tensors, tensors: SearchTensors) -> tuple[Tensor, Tensor]:
        matching, prior = evaluate(self, variables, tensors)
        calls[0] += 1
        return (matching * torch.nan if calls[0] == 6 else matching), prior

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "over_trials", lost_at_the_end)
        outcome = run(code(1, 1), wild, iterations=5, minimised=minimised, keep="last")
    assert calls == [6]
    torch.testing.assert_close(outcome.losses, outcome.trace.min(dim=0).values)


def test_fixed_variables_stay_and_others_move() -> None:
    start = {"code": code(1, 1), "labels": torch.zeros(1, 1, 10)}
    free = known(ONE, 1, ONE.labels)
    free = free._replace(trials=free.trials._replace(labels={}))
    for optimiser in (ADAM, ADAM.model_copy(update={"gradient_blend": 0.3, "blend_at": "ahead"})):
        engine = Engine(objective(ONE), optimiser, compiled=False, fixed=frozenset({"code"}))
        found = engine.run(start, free, iterations=4, generators=[torch.Generator()], keep="last")
        assert torch.equal(found.variables["code"], start["code"])
        assert not torch.equal(found.variables["labels"], start["labels"])


def test_a_look_ahead_by_hand() -> None:
    """Signs here and one step of AdamW ahead, 0.7 and 0.3 of them; both steps leave their mark on the moments."""
    minimised, start, some = objective(ONE), {"code": code(1, 1)}, known(ONE, 1, ONE.labels)
    optimiser = Optimiser(
        kind="signed_adam",
        learning_rate=0.05,
        schedule="constant",
        weight_decay=0.1,
        gradient_blend=0.3,
        blend_at="ahead",
    )
    engine = Engine(minimised, optimiser, compiled=False)
    found = engine.run(start, some, iterations=2, generators=[torch.Generator()], keep="last")

    weights = torch.nn.Parameter(start["code"].clone())
    reference = torch.optim.AdamW([weights], lr=0.05, weight_decay=0.1)

    def signs() -> torch.Tensor:
        gradient, _, _ = minimised.value_and_gradient({"code": weights.detach()}, some)
        return gradient["code"].sign()

    for _ in range(2):
        before, here = weights.detach().clone(), signs()
        weights.grad = here.clone()
        reference.step()
        there = signs()
        weights.data.copy_(before)
        weights.grad = 0.7 * here + 0.3 * there
        reference.step()
    torch.testing.assert_close(found.variables["code"], weights.detach(), rtol=1e-4, atol=1e-5)


def test_weight_decay_is_that_of_adamw() -> None:
    gradient = {"x": torch.tensor([[0.3, -0.2]])}
    variables, moments = {"x": torch.tensor([[1.0, 2.0]])}, no_moments(gradient)
    weights = torch.nn.Parameter(variables["x"].clone())
    reference = torch.optim.AdamW([weights], lr=0.1, weight_decay=0.5)
    for step in range(3):
        rates = torch.tensor(adam_rates(0.1, step))
        variables, moments = adam_step(variables, gradient, moments, rates, weight_decay=0.5)
        weights.grad = gradient["x"].clone()
        reference.step()
    torch.testing.assert_close(variables["x"], weights.detach())
