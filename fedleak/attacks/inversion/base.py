"""What every optimisation-based attack shares: its settings, and the way from capabilities to images."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine, Inversion
from fedleak.attacks.inversion.objective import Known, Objective
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors, mean_consensus, registered_consensus
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.replay import LocalSteps, Tensors, replica, split_state
from fedleak.attacks.inversion.settings import Group, Init, StartFrom
from fedleak.attacks.inversion.start import by_labels, by_matching, noise_start, normalised, perturbed
from fedleak.errors import AttackFailedError
from fedleak.threat import Capability, ModelArchitecture, PixelPrior, StartingImages

WORTH_COMPILING = 2000
"""Iterations from which ``compile: auto`` compiles; a rule by count keeps results reproducible."""


class InversionAttack(Attack):
    """Base of all attacks that search for images whose update matches the shared one."""

    iterations: int = Field(default=4000, ge=1)
    restarts: int = Field(default=1, ge=1)
    """Trials from independent starts, run together; the lowest matching loss wins."""
    init: Init = "normal"
    """Standard normal or uniform noise in normalised space, or mid-grey; or ``{from: ATTACK}``."""
    distance: Distance = Distance()
    priors: Priors = Priors()
    optimiser: Optimiser = Optimiser()
    decoder: Decoder = Decoder()
    group: Group = Group()
    box: bool = True
    """Keep pixels inside their bounds."""
    train_mode: bool = False
    """Assume that clients normalise with the statistics of their batch."""
    compile: Literal["auto", "always", "never"] = "auto"
    """Pass the iteration through ``torch.compile``; ``auto``: from 2,000 iterations on."""

    @property
    def starts_from(self) -> str | None:
        """The attack named in ``init``."""
        return self.init.from_ if isinstance(self.init, StartFrom) else None

    def wanted(self) -> frozenset[type[Capability]]:
        """Starting images only where ``init`` names an attack."""
        return self.capabilities() | (frozenset({StartingImages}) if self.starts_from else frozenset())

    def invert(self, problem: Problem, generator: torch.Generator) -> Reconstruction:
        """Search, and return the best trial's best iterate.

        Raises:
            AttackFailedError: if the update cannot be matched, or no trial ever had a finite loss.
        """
        engine = self._engine(problem)
        known = self._known(problem)
        variables = self._start(problem, known, engine.objective, generator)
        outcome = engine.run(
            variables,
            known,
            iterations=self.iterations,
            generator=generator,
            regroup=self._regroup(problem.architecture) if self.priors.group else None,
        )
        return self._answer(problem, outcome)

    def _engine(self, problem: Problem) -> Engine:
        train_mode, steps = self.train_mode, problem.steps
        compiled = self.compile == "always" or (self.compile == "auto" and self.iterations >= WORTH_COMPILING)
        device = next(iter(problem.update.tensors.values())).device
        settings = (self.distance, self.priors, self.decoder, self.optimiser)
        return _engine(problem.architecture, *settings, steps, train_mode, compiled, device)

    def _known(self, problem: Problem) -> Known:
        update = problem.update
        if update.protocol == "fedavg" and problem.steps is None and not self.distance.is_scale_free:
            raise AttackFailedError(
                f"distance {self.distance.kind} needs a gradient of known size, but the update is a weight delta; "
                "give local_training, or take a cosine distance"
            )
        turn = -1.0 if update.protocol == "fedavg" and problem.steps is None else 1.0
        target = {name: turn * tensor for name, tensor in update.tensors.items()}
        if not all(torch.isfinite(tensor).all() for tensor in target.values()):
            raise AttackFailedError("the update is not finite")
        module = problem.architecture.build(seed=0)
        parameters, buffers = split_state(module, problem.model.state)
        probabilities = {}
        if problem.labels is not None:
            one_hot = F.one_hot(problem.labels, problem.architecture.classes).to(next(iter(target.values())))
            probabilities = {"probabilities": self._repeat(one_hot)}
        masked = self.distance.top_share < 1
        first = next(iter(target.values()))
        return Known(
            parameters=parameters,
            buffers=buffers,
            target={name: self._repeat(tensor) for name, tensor in target.items()},
            mask={n: self._repeat(self.distance.mask(t)) for n, t in target.items()} if masked else {},
            labels=probabilities,
            consensus={},
            box=_box(problem.pixels, first) if self.box else {},
        )

    def _repeat(self, tensor: Tensor) -> Tensor:
        return tensor.expand(self.restarts, *tensor.shape).contiguous()

    def _start(self, problem: Problem, known: Known, objective: Objective, generator: torch.Generator) -> Tensors:
        """Where all trials start, ``(T, B, ...)``."""
        like = next(iter(problem.update.tensors.values()))
        shape = (self.restarts, problem.samples, *self.decoder.code_shape(problem.architecture.input_shape))
        if isinstance(self.init, StartFrom):
            code = self._from_images(self.init, problem, known, objective, generator)
        else:
            code = noise_start(self.init, shape, problem.pixels, generator)
        variables = {"code": code.to(like)}
        if problem.labels is None:
            logits = torch.randn(*shape[:2], problem.architecture.classes, generator=generator)
            variables["logits"] = logits.to(like)
        return variables

    def _from_images(
        self, init: StartFrom, problem: Problem, known: Known, objective: Objective, generator: torch.Generator
    ) -> Tensor:
        """Another attack's images, in the order of the labels."""
        if problem.start is None:
            raise AttackFailedError(f"there are no images of {init.from_} to start from")
        images = normalised(problem.start, problem.samples, problem.pixels)
        if problem.labels is not None and problem.samples > 1:
            if problem.start.labels is not None:
                images = by_labels(images, problem.start.labels, problem.labels)
            images = by_matching(images, problem.labels, lambda some: self._matching(objective, some, known))
        std = torch.tensor(problem.pixels.std).to(images).reshape(-1, 1, 1)
        code = self.decoder.encode(images)
        return perturbed(code, restarts=self.restarts, noise=init.noise / std, generator=generator)

    def _matching(self, objective: Objective, images: Tensor, known: Known) -> Tensor:
        """Matching loss of one candidate ``(1, B, C, H, W)``, ``(1,)``."""
        matching, _ = objective.over_trials({"code": torch.stack([self.decoder.encode(images[0])])}, known.of(0))
        return matching

    def _regroup(self, architecture: ModelArchitecture) -> Callable[[Tensors, Known, int], Known]:
        """Keeps the consensus of the group; a registered one is refreshed now and then."""
        group, shape = self.group, architecture.input_shape

        def regroup(variables: Tensors, known: Known, iteration: int) -> Known:
            registered = group.consensus == "registered" and iteration >= group.start
            if registered and iteration > group.start and iteration % group.refresh:
                return known
            images = torch.stack([self.decoder(code, shape) for code in variables["code"].unbind()])
            if registered:
                consensus = registered_consensus(images, largest_shift=group.largest_shift)
            else:
                consensus = mean_consensus(images)
            return known._replace(consensus={"images": consensus.expand_as(images).contiguous()})

        return regroup

    def _answer(self, problem: Problem, outcome: Inversion) -> Reconstruction:
        losses = outcome.losses.nan_to_num(nan=torch.inf, posinf=torch.inf)
        best = int(losses.argmin())
        if not torch.isfinite(losses[best]):
            raise AttackFailedError("the matching loss was never finite")
        code = outcome.variables["code"][best]
        images = self.decoder(code, problem.architecture.input_shape)
        std, mean = (torch.tensor(v).to(images).reshape(-1, 1, 1) for v in (problem.pixels.std, problem.pixels.mean))
        pixels = (images * std + mean).clamp(problem.pixels.low, problem.pixels.high)
        labels = outcome.variables["logits"][best].argmax(dim=-1).cpu() if problem.labels is None else None
        trace = outcome.trace[:, best]
        return Reconstruction(
            images=pixels.float().cpu(), labels=labels, curve={"matching_loss": [float(v) for v in trace.cpu()]}
        )


@lru_cache(maxsize=4)
def _engine(
    architecture: ModelArchitecture,
    distance: Distance,
    priors: Priors,
    decoder: Decoder,
    optimiser: Optimiser,
    steps: LocalSteps | None,
    train_mode: bool,
    compiled: bool,
    device: torch.device,
) -> Engine:
    """One engine for all victims of an attack, so that nothing is compiled twice."""
    module = replica(architecture.build(seed=0), train_mode=train_mode).to(device)
    objective = Objective(module, architecture.input_shape, steps, distance, priors, decoder)
    return Engine(objective, optimiser, compiled=compiled)


def _box(pixels: PixelPrior, like: Tensor) -> Tensors:
    """Bounds of pixels in normalised space, ``(C, 1, 1)``."""
    mean, std = (torch.tensor(v).to(like).reshape(-1, 1, 1) for v in (pixels.mean, pixels.std))
    return {"low": (pixels.low - mean) / std, "high": (pixels.high - mean) / std}
