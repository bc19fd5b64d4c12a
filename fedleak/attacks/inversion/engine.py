"""The optimisation loop of all optimisation-based attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedleak.attacks.inversion.compilation import Compiled
from fedleak.attacks.inversion.execution import for_size, multiplications
from fedleak.attacks.inversion.objective import Objective, SearchTensors
from fedleak.attacks.inversion.optimisers import Moments, Optimiser, adam_rates, adam_step, learning_rate_at
from fedleak.attacks.inversion.outcome import Inversion
from fedleak.attacks.inversion.states import AdamState, Best, LbfgsState, nothing_yet
from fedleak.snapshots import Loop
from fedleak.steps import Steps
from fedleak.tensors import Tensors

CHECK_EVERY = 50
"""Iterations between checks of the losses, because a check synchronises with the device."""

Step = Callable[[Tensors, Moments, Best, SearchTensors, Tensor, Tensors], tuple[Tensors, Moments, Best, Tensor]]
Evaluate = Callable[[Tensors, SearchTensors], tuple[Tensors, Tensor, Tensor]]
Regroup = Callable[[Tensors, SearchTensors, int], SearchTensors]


class Engine:
    """An objective and an optimiser, prepared once and used for any number of victims.

    Args:
        objective: to minimise.
        optimiser: settings of the optimiser.
        compiled: compile the whole iteration with ``torch.compile``.
    """

    def __init__(self, objective: Objective, optimiser: Optimiser, *, compiled: bool) -> None:
        self.objective = replace(objective, factored=objective.factored and not compiled)
        self.optimiser = optimiser
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
    ) -> Inversion:
        """Minimise from ``variables`` ``(T, ...)``, which are not modified.

        Args:
            generators: for Langevin noise, one per victim; all victims have the same number of trials.
            regroup: updates the groups' consensus before every iteration.
        """
        trials, images = variables["code"].shape[:2]
        if self.optimiser.kind == "lbfgs":
            with sdpa_kernel(SDPBackend.MATH), for_size(self._size * images, variables["code"].device):
                return self._run_lbfgs(variables, tensors, iterations)
        size = self._size * images * trials
        with sdpa_kernel(SDPBackend.MATH), for_size(size, variables["code"].device):  # others have no second derivative
            return self._run_adam(variables, tensors, iterations, generators, regroup)

    def _run_adam(
        self,
        variables: Tensors,
        tensors: SearchTensors,
        iterations: int,
        generators: Sequence[torch.Generator],
        regroup: Regroup | None,
    ) -> Inversion:
        loop, now = Loop(), AdamState.start(variables)
        if loop.earlier is not None:
            now, tensors = now.again(loop.earlier, tensors, generators)
        steps = _steps(iterations, first=now.iteration)
        while now.iteration < iterations and not now.ended:
            if regroup is not None:
                tensors = regroup(now.variables, tensors, now.iteration)
            rate = learning_rate_at(self.optimiser, now.iteration, iterations)
            rates = torch.tensor(adam_rates(rate, now.iteration)).to(now.best.loss)
            noise = self._noise(now.variables, rate, generators)
            now = now.after(*self._step(now.variables, now.moments, now.best, tensors, rates, noise))
            steps.done(now.iteration, partial(_lowest, now.best))
            if now.iteration % CHECK_EVERY == 0:
                now = now.checked(plateau=self.optimiser.plateau)
            loop.reached(partial(now.kept, tensors, [generator.get_state() for generator in generators if noise]))
        return Inversion(now.best.variables, now.best.loss, torch.stack(now.trace))

    def _adam_iteration(
        self, variables: Tensors, moments: Moments, best: Best, tensors: SearchTensors, rates: Tensor, noise: Tensors
    ) -> tuple[Tensors, Moments, Best, Tensor]:
        """One iteration: evaluate, keep the iterate if it is the best, take a step, and clip to the box."""
        gradient, _, matching = self.objective.value_and_gradient(variables, tensors)
        best = _better(best, variables, matching)
        if self.optimiser.gradient_blend:
            gradient = self._blended(variables, gradient, tensors)
        if self.optimiser.kind == "signed_adam":
            gradient = {name: value.sign() for name, value in gradient.items()}
        moved, moments = adam_step(variables, gradient, moments, rates)
        moved = {name: value + noise[name] if name in noise else value for name, value in moved.items()}
        return _into_box(moved, tensors.model.box), moments, best, matching

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

    def _run_lbfgs(self, variables: Tensors, tensors: SearchTensors, iterations: int) -> Inversion:
        """Run the trials one after the other, because each has its own history and line search."""
        count = len(variables["code"])
        trials = [self._one_lbfgs(_trial(variables, i), tensors.of(i), iterations) for i in range(count)]
        best, losses, traces = zip(*((t.variables, t.losses, t.trace) for t in trials), strict=True)
        length = max(len(trace) for trace in traces)
        padded = [torch.cat([t, t.new_full((length - len(t), 1), torch.nan)]) for t in traces]
        stacked = {name: torch.cat([b[name] for b in best]) for name in variables}
        return Inversion(stacked, torch.cat(losses), torch.cat(padded, dim=1))

    def _one_lbfgs(self, variables: Tensors, tensors: SearchTensors, iterations: int) -> Inversion:
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
        return Inversion(now.best.variables, now.best.loss, torch.tensor(now.trace).to(now.best.loss)[:, None])


def _steps(iterations: int, *, first: int) -> Steps:
    return Steps("iteration", iterations, measure="lowest matching loss", first=first)


def _lowest(best: Best) -> float:
    return float(best.loss.min())


def _trial(tensors: Tensors, index: int) -> Tensors:
    return {name: value[index : index + 1] for name, value in tensors.items()}


def _better(best: Best, variables: Tensors, matching: Tensor) -> Best:
    """Update the best iterates; a NaN loss is never better."""
    improved = matching < best.loss
    kept = {
        name: torch.where(improved.reshape(-1, *[1] * (value.ndim - 1)), value, best.variables[name])
        for name, value in variables.items()
    }
    return Best(kept, torch.where(improved, matching, best.loss))


def _norm(value: Tensor) -> Tensor:
    """Euclidean norm of each trial, in a shape that broadcasts against ``value``."""
    lengths: Tensor = torch.linalg.vector_norm(value.flatten(1), dim=1)
    return lengths.reshape(-1, *[1] * (value.ndim - 1))


def _into_box(variables: Tensors, box: Tensors) -> Tensors:
    """Variables with pixels clipped to the box; label logits are unbounded."""
    if not box:
        return variables
    return variables | {"code": torch.minimum(torch.maximum(variables["code"], box["low"]), box["high"])}
