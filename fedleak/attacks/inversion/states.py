"""States of a search between two iterations, from which an interrupted search goes on."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from fedleak.attacks.inversion.objective import SearchTensors
from fedleak.attacks.inversion.optimisers import Moments, no_moments
from fedleak.snapshots import State
from fedleak.tensors import Tensors

KeptName = Literal["last", "lowest"]
"""Which iterate of a search is its result: the last one, or the one with the lowest matching loss."""
PROGRESS = 0.999
"""A loss below this fraction of its last mark counts as progress."""


class Best(NamedTuple):
    """The iterate with the lowest matching loss so far, separately for each trial."""

    variables: Tensors
    loss: Tensor


def nothing_yet(variables: Tensors) -> Best:
    """Before the first iteration: the start, with infinite losses."""
    loss = torch.full_like(variables["code"].flatten(1)[:, 0], torch.inf)
    return Best({name: value.clone() for name, value in variables.items()}, loss)


@dataclass(frozen=True)
class AdamState:
    """A search by Adam after ``iteration`` iterations; none of its tensors is changed later.

    Attributes:
        variables, moments, best: of all trials.
        trace: matching losses of at least ``iteration`` iterations, ``(T,)`` each.
        mark, marked_at: the lowest loss that counted as progress, and its iteration.
        ended: whether the search has stopped before its last iteration.
    """

    variables: Tensors
    moments: Moments
    best: Best
    trace: list[Tensor]
    iteration: int = 0
    mark: float = math.inf
    marked_at: int = 0
    ended: bool = False

    @classmethod
    def start(cls, variables: Tensors) -> Self:
        """Before the first iteration."""
        return cls(variables, no_moments(variables), nothing_yet(variables), [])

    def after(self, variables: Tensors, moments: Moments, best: Best, matching: Tensor) -> Self:
        """The state one iteration later."""
        self.trace.append(matching)
        return replace(self, variables=variables, moments=moments, best=best, iteration=self.iteration + 1)

    def checked(self, *, plateau: int) -> Self:
        """The state after a look at the losses: ended if all are lost, or none fell for ``plateau`` iterations."""
        if not torch.isfinite(self.trace[-1]).any():
            return replace(self, ended=True)
        lowest, last = float(self.best.loss.min()), self.iteration - 1
        if lowest < PROGRESS * self.mark:
            return replace(self, mark=lowest, marked_at=last)
        return replace(self, ended=plateau > 0 and last - self.marked_at >= plateau)

    def kept(self, tensors: SearchTensors, streams: Sequence[Tensor]) -> State:
        """The state as it is kept, with the groups' consensus and the states of the generators of noise."""
        return {
            "variables": self.variables,
            "moments": list(self.moments),
            "best": list(self.best),
            "trace": torch.stack(self.trace[: self.iteration]),
            "iteration": self.iteration,
            "mark": self.mark,
            "marked_at": self.marked_at,
            "ended": self.ended,
            "consensus": tensors.trials.consensus,
            "streams": list(streams),
        }

    def again(
        self, state: State, tensors: SearchTensors, generators: Sequence[torch.Generator]
    ) -> tuple[Self, SearchTensors]:
        """A kept state of a search that starts as this one does, and the tensors with the groups' consensus.

        The generators continue, too.
        """
        like, number = self.best.loss, int(state["iteration"])
        variables, first, second, iterates = (
            {name: part[name].to(value) for name, value in self.variables.items()}
            for part in (state["variables"], *state["moments"], state["best"][0])
        )
        for generator, stream in zip(generators, state["streams"], strict=False):
            generator.set_state(stream)
        if state["consensus"]:
            tensors = tensors.with_consensus(state["consensus"]["images"].to(like))
        found = replace(
            self,
            variables=variables,
            moments=Moments(first, second),
            best=Best(iterates, state["best"][1].to(like)),
            trace=list(state["trace"].to(like).unbind()),
            iteration=number,
            mark=float(state["mark"]),
            marked_at=int(state["marked_at"]),
            ended=bool(state["ended"]),
        )
        return found, tensors


@dataclass
class LbfgsState:
    """A search by L-BFGS from one start, after ``iteration`` outer iterations.

    Attributes:
        best: of the one trial.
        trace: the matching loss at the begin of every iteration.
        before: the objective of the last iteration.
        ended: whether the search has stopped before its last iteration.
    """

    best: Best
    trace: list[float]
    iteration: int = 0
    before: float = math.inf
    ended: bool = False

    def reached(self, value: float, matching: float) -> None:
        """Count one more iteration, with its objective and the matching loss at its begin."""
        self.ended = value == self.before or not math.isfinite(value)
        self.before = value
        self.trace.append(matching)
        self.iteration += 1

    def kept(self, point: Tensors, solver: torch.optim.LBFGS | None = None) -> State:
        """A copy of the state, with that of the solver, which a search that has ended does not need."""
        parts = {
            "point": point,
            "best": list(self.best),
            "trace": self.trace,
            "iteration": self.iteration,
            "before": self.before,
            "ended": self.ended,
            "solver": solver.state_dict()["state"][0] if solver is not None else {},
        }
        return {name: copy.deepcopy(part) for name, part in parts.items()}

    @classmethod
    def again(cls, state: State, point: Tensors, solver: torch.optim.LBFGS) -> Self:
        """A kept state; ``point`` and the solver become what they were."""
        with torch.no_grad():
            for name, value in point.items():
                value.copy_(state["point"][name])
        settings: dict[str, Any] = solver.state_dict()
        solver.load_state_dict(settings | {"state": {0: dict(state["solver"])}})
        variables, loss = state["best"]
        like = next(iter(point.values()))
        best = Best({name: value.to(like.device) for name, value in variables.items()}, loss.to(like.device))
        return cls(
            best, list(state["trace"]), int(state["iteration"]), float(state["before"]), ended=bool(state["ended"])
        )
