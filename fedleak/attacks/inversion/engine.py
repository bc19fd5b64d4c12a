"""The optimisation loop of all optimisation-based attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedleak.attacks.inversion.compilation import Compiled
from fedleak.attacks.inversion.dropout import MASKS
from fedleak.attacks.inversion.execution import for_size, multiplications
from fedleak.attacks.inversion.objective import SURROGATE, Objective, SearchTensors
from fedleak.attacks.inversion.optimisers import Moments, Optimiser, adam_rates, adam_step, learning_rate_at
from fedleak.attacks.inversion.outcome import Inversion
from fedleak.attacks.inversion.states import AdamState, Best, KeptName, LbfgsState, nothing_yet
from fedleak.snapshots import Loop
from fedleak.steps import Steps
from fedleak.tensors import Tensors

CHECK_EVERY = 50
"""Iterations between checks of the losses, because a check synchronises with the device."""

Step = Callable[[Tensors, Moments, Best, SearchTensors, Tensor, Tensors], tuple[Tensors, Moments, Best, Tensor]]
Evaluate = Callable[[Tensors, SearchTensors], tuple[Tensors, Tensor, Tensor]]
Regroup = Callable[[Tensors, SearchTensors, int], SearchTensors]


class _StepSettings(TypedDict):
    weight_decay: float
    paces: Mapping[str, float]


class Engine:
    """An objective and an optimiser, prepared once and used for any number of victims.

    Args:
        objective: to minimise.
        optimiser: settings of the optimiser.
        compiled: compile the whole iteration with ``torch.compile``.
        fixed: names of variables that stay as they are at the start.
        surrogate_pace: learning rate of a surrogate model's position, as a factor of the optimiser's.
    """

    def __init__(
        self,
        objective: Objective,
        optimiser: Optimiser,
        *,
        compiled: bool,
        fixed: frozenset[str] = frozenset(),
        surrogate_pace: float = 1.0,
    ) -> None:
        self.objective = replace(objective, factored=objective.factored and not compiled)
        self.optimiser = optimiser
        self.fixed = fixed
        self._settings: _StepSettings = {
            "weight_decay": optimiser.weight_decay,
            "paces": {SURROGATE: surrogate_pace} if surrogate_pace != 1 else {},
        }
        self._size = multiplications(objective.module, objective.shape)
        self._step: Step = self._adam_iteration
        self._evaluate: Evaluate = self.objective.value_and_gradient
        if compiled:
            device = next(objective.module.parameters()).device
            self._step, self._evaluate = Compiled(self._step, device), Compiled(self._evaluate, device)

    def run(
        self,
        variables: Tensors,
        tensors: SearchTensors,
        *,
        iterations: int,
        generators: Sequence[torch.Generator],
        regroup: Regroup | None = None,
        keep: KeptName = "lowest",
    ) -> Inversion:
        """Minimise from ``variables`` ``(T, ...)``, which are not modified.

        Args:
            generators: for Langevin noise, one per victim; all victims have the same number of trials.
            regroup: updates the groups' consensus before every iteration.
            keep: the iterate of every trial that is the result. Where the loss of the last one is not finite, it is the
                one with the lowest loss.
        """
        trials, images = variables["code"].shape[:2]
        if self.optimiser.kind == "lbfgs":
            with sdpa_kernel(SDPBackend.MATH), for_size(self._size * images, variables["code"].device):
                return self._run_lbfgs(variables, tensors, iterations, keep)
        size = self._size * images * trials
        with sdpa_kernel(SDPBackend.MATH), for_size(size, variables["code"].device):  # others have no second derivative
            return self._run_adam(variables, tensors, iterations, generators, regroup, keep)

    def _run_adam(
        self,
        variables: Tensors,
        tensors: SearchTensors,
        iterations: int,
        generators: Sequence[torch.Generator],
        regroup: Regroup | None,
        keep: KeptName,
    ) -> Inversion:
        loop, now = Loop(), AdamState.start(variables)
        if loop.earlier is not None:
            now, tensors = now.again(loop.earlier, tensors, generators)
        steps = _steps(iterations, first=now.iteration)
        while now.iteration < iterations and not now.ended:
            if regroup is not None:
                tensors = regroup(now.variables, tensors, now.iteration)
            rate = learning_rate_at(self.optimiser, now.iteration, iterations)
            rates = torch.tensor(self._rates(rate, now.iteration)).to(now.best.loss)
            noise = self._noise(now.variables, rate, generators)
            now = now.after(*self._step(now.variables, now.moments, now.best, tensors, rates, noise))
            steps.done(now.iteration, partial(_lowest, now.best))
            if now.iteration % CHECK_EVERY == 0:
                now = now.checked(plateau=self.optimiser.plateau)
            loop.reached(partial(now.kept, tensors, [generator.get_state() for generator in generators if noise]))
        return Inversion(*self._kept(now.best, now.variables, tensors, keep), torch.stack(now.trace))

    def _kept(self, best: Best, last: Tensors, tensors: SearchTensors, keep: KeptName) -> Best:
        """The iterate of every trial that is the result, with its matching loss."""
        if keep == "lowest":
            return best
        matching, _ = self.objective.over_trials(last, tensors)
        return _chosen(torch.isfinite(matching), Best(last, matching), best)

    def _adam_iteration(
        self, variables: Tensors, moments: Moments, best: Best, tensors: SearchTensors, rates: Tensor, noise: Tensors
    ) -> tuple[Tensors, Moments, Best, Tensor]:
        """One iteration: evaluate, keep the iterate if it is the best, take a step, and clip to the box."""
        gradient, _, matching = self.objective.value_and_gradient(variables, tensors)
        best = _better(best, variables, matching)
        if self.optimiser.gradient_blend and self.optimiser.blend_at == "ahead":
            direction, moments = self._blended_ahead(variables, gradient, moments, tensors, rates)
        else:
            blended = self._blended(variables, gradient, tensors) if self.optimiser.gradient_blend else gradient
            direction = self._direction(blended)
        moved, moments = adam_step(variables, direction, moments, rates[-1], **self._settings)
        moved = {name: value + noise[name] if name in noise else value for name, value in moved.items()}
        moved |= {name: variables[name] for name in self.fixed}
        return _into_box(moved, tensors.model.box), moments, best, matching

    def _rates(self, rate: float, iteration: int) -> list[tuple[float, float, float]]:
        """``adam_rates`` of the steps of one iteration: two with a look ahead."""
        steps = 2 if self.optimiser.gradient_blend and self.optimiser.blend_at == "ahead" else 1
        return [adam_rates(rate, steps * iteration + step) for step in range(steps)]

    def _direction(self, gradient: Tensors) -> Tensors:
        """The gradient, or its signs; that of dropout masks always as it is."""
        if self.optimiser.kind != "signed_adam":
            return gradient
        return {name: value if name.startswith(MASKS) else value.sign() for name, value in gradient.items()}

    def _blended_ahead(
        self, variables: Tensors, gradient: Tensors, moments: Moments, tensors: SearchTensors, rates: Tensor
    ) -> tuple[Tensors, Moments]:
        """The direction blended with the one where a first step leads, which the moments remember (Fan et al. 2025)."""
        share, here = self.optimiser.gradient_blend, self._direction(gradient)
        ahead, moments = adam_step(variables, here, moments, rates[0], **self._settings)
        ahead |= {name: variables[name] for name in self.fixed}
        further, _, _ = self.objective.value_and_gradient(ahead, tensors)
        there = self._direction(further)
        return {name: (1 - share) * here[name] + share * there[name] for name in here}, moments

    def _blended(self, variables: Tensors, gradient: Tensors, tensors: SearchTensors) -> Tensors:
        """The gradient blended with the gradient at a point uphill (Zhao et al. 2022, arXiv 2202.03599, Eq. 9)."""
        share, step = self.optimiser.gradient_blend, self.optimiser.gradient_step
        uphill = {n: v + step * gradient[n] / (_norm(gradient[n]) + 1e-12) for n, v in variables.items()}
        further, _, _ = self.objective.value_and_gradient(uphill, tensors)
        return {name: (1 - share) * gradient[name] + share * further[name] for name in gradient}

    def _noise(self, variables: Tensors, rate: float, generators: Sequence[torch.Generator]) -> Tensors:
        if not self.optimiser.langevin:
            return {}
        code = variables["code"]
        shape = (len(code) // len(generators), *code.shape[1:])
        noise = torch.cat([torch.randn(shape, generator=g, device=g.device) for g in generators]).to(code)
        return {"code": self.optimiser.langevin * rate * noise}

    def _run_lbfgs(self, variables: Tensors, tensors: SearchTensors, iterations: int, keep: KeptName) -> Inversion:
        """Run the trials one after the other, because each has its own history and line search."""
        count = len(variables["code"])
        trials = [self._one_lbfgs(_trial(variables, i), tensors.of(i), iterations, keep) for i in range(count)]
        best, losses, traces = zip(*((t.variables, t.losses, t.trace) for t in trials), strict=True)
        length = max(len(trace) for trace in traces)
        padded = [torch.cat([t, t.new_full((length - len(t), 1), torch.nan)]) for t in traces]
        stacked = {name: torch.cat([b[name] for b in best]) for name in variables}
        return Inversion(stacked, torch.cat(losses), torch.cat(padded, dim=1))

    def _one_lbfgs(self, variables: Tensors, tensors: SearchTensors, iterations: int, keep: KeptName) -> Inversion:
        point = {name: value.clone().requires_grad_(True) for name, value in variables.items()}
        settings = self.optimiser
        solver = torch.optim.LBFGS(
            list(point.values()),
            lr=settings.learning_rate,
            max_iter=settings.inner_steps,
            tolerance_grad=0.0,  # torch's default stops long before the image is sharp
            tolerance_change=0.0,
            line_search_fn="strong_wolfe" if settings.line_search else None,
        )
        loop, now, seen = Loop(), LbfgsState(nothing_yet(variables), []), list[float]()
        if loop.earlier is not None:
            now = LbfgsState.again(loop.earlier, point, solver)

        def closure() -> float:
            here = {name: value.detach() for name, value in point.items()}
            gradient, total, matching = self._evaluate(here, tensors)
            now.best = _better(now.best, here, matching)
            seen.append(float(matching))
            for name, value in point.items():
                value.grad = gradient[name].clone()
            return float(total)

        steps = _steps(iterations, first=now.iteration)
        while now.iteration < iterations and not now.ended:
            solver.param_groups[0]["lr"] = learning_rate_at(settings, now.iteration, iterations)
            seen.clear()
            value = float(solver.step(closure))  # type: ignore[no-untyped-call]
            with torch.no_grad():
                for name, bounded in _into_box({n: p.detach() for n, p in point.items()}, tensors.model.box).items():
                    point[name].copy_(bounded)
            now.reached(value, seen[0])
            steps.done(now.iteration, partial(_lowest, now.best))
            if loop.is_due:  # the solver changes its tensors in place, and has many
                loop.reached(partial(dict, now.kept(point, solver)))
        loop.reached(partial(dict, replace(now, ended=True).kept(point)))
        last = {name: value.detach() for name, value in point.items()}
        kept = self._kept(now.best, last, tensors, keep)
        return Inversion(*kept, torch.tensor(now.trace).to(now.best.loss)[:, None])


def _steps(iterations: int, *, first: int) -> Steps:
    return Steps("iteration", iterations, measure="lowest matching loss", first=first)


def _lowest(best: Best) -> float:
    return float(best.loss.min())


def _trial(tensors: Tensors, index: int) -> Tensors:
    return {name: value[index : index + 1] for name, value in tensors.items()}


def _better(best: Best, variables: Tensors, matching: Tensor) -> Best:
    """Update the best iterates; a NaN loss is never better."""
    return _chosen(matching < best.loss, Best(variables, matching), best)


def _chosen(mask: Tensor, first: Best, second: Best) -> Best:
    """For every trial the first iterate where ``mask`` ``(T,)`` is set, else the second."""
    variables = {
        name: torch.where(mask.reshape(-1, *[1] * (value.ndim - 1)), value, second.variables[name])
        for name, value in first.variables.items()
    }
    return Best(variables, torch.where(mask, first.loss, second.loss))


def _norm(value: Tensor) -> Tensor:
    """Euclidean norm of each trial, in a shape that broadcasts against ``value``."""
    lengths: Tensor = torch.linalg.vector_norm(value.flatten(1), dim=1)
    return lengths.reshape(-1, *[1] * (value.ndim - 1))


def _into_box(variables: Tensors, box: Tensors) -> Tensors:
    """Variables with pixels clipped to the box, dropout masks and a surrogate model's position to [0, 1].

    Label logits are unbounded.
    """
    shares = {name for name in variables if name == SURROGATE or name.startswith(MASKS)}
    variables = {name: value.clamp(0, 1) if name in shares else value for name, value in variables.items()}
    if not box:
        return variables
    return variables | {"code": torch.minimum(torch.maximum(variables["code"], box["low"]), box["high"])}
