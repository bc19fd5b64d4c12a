"""Base classes of optimisation-based attacks: settings, and the search from capabilities to images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator

from fedleak import limits
from fedleak.attacks.base import Reconstruction, SideBySideAttack
from fedleak.attacks.inversion.decoders import Decoder, Decoding
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine, Regroup
from fedleak.attacks.inversion.engines import WORTH_COMPILING, CompileName, EngineSettings, engine_for
from fedleak.attacks.inversion.execution import victims_at_once
from fedleak.attacks.inversion.knowledge import InversionKnowledge, LabelledKnowledge
from fedleak.attacks.inversion.objective import SearchTensors, each_trial
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.outcome import best_reconstruction
from fedleak.attacks.inversion.priors import Priors, mean_consensus, registered_consensus
from fedleak.attacks.inversion.problem import Problem, make_problem
from fedleak.attacks.inversion.settings import Group, Init, LocalTraining, LocalTrainingGuess, StartFrom
from fedleak.attacks.inversion.start import matching_loss, noise_start, ordered_images, perturbed
from fedleak.attacks.inversion.states import KeptName
from fedleak.attacks.inversion.tensors import search_tensors, side_by_side, stack_trials
from fedleak.attacks.inversion.transform import estimated_postprocessing
from fedleak.errors import AttackFailedError
from fedleak.tensors import Tensors
from fedleak.threat import (
    BatchStatistics,
    Capability,
    MiniBatchOrder,
    PostProcessingDetails,
    StartingImages,
    TrainingDetails,
)


class InversionAttack(SideBySideAttack[InversionKnowledge]):
    """Base class of all attacks that optimise images until their update matches the shared one."""

    iterations: int = Field(default=4000, ge=1, le=limits.ITERATIONS)
    """Steps of the search."""
    restarts: int = Field(default=1, ge=1, le=limits.RESTARTS)
    """Trials from independent starts, run together; the trial with the lowest matching loss is kept."""
    keep: KeptName = "lowest"
    """The iterate that is the result of a trial: the ``last`` one, or the one with the ``lowest`` matching loss,
    whatever the priors say of it. Attacks with priors return the last one by default, as the published code of
    Inverting Gradients and GIAS does: the iterate that matches best may be noise from before strong priors took
    hold."""
    init: Init = "normal"
    """Standard normal or uniform noise in normalised space, or mid-grey; or ``{from: ATTACK}``."""
    distance: Distance = Distance()
    priors: Priors = Priors()
    optimiser: Optimiser = Optimiser()
    decoder: Decoder = Decoder()
    group: Group = Group()
    box: bool = True
    """Clip pixels to their valid range."""
    train_mode: bool = False
    """Assume that clients normalise with the statistics of their batch."""
    compile: CompileName = "auto"
    """Compile the iteration with ``torch.compile``; ``auto``: from 2,000 iterations on, except for networks with wide
    layers whose gradients can be kept in factored form, which saves more."""
    local_training: LocalTraining = None
    """For weight deltas, what is known of the local steps: ``known_with_order``, ``known``, ``estimated``, ``unknown``,
    or a mapping of assumed settings; all but ``unknown`` unroll the local steps; null (default): as ``unknown``."""
    adaptive: bool | Literal["estimated"] = False
    """Pass trial updates through the client's post-processing, which is either granted (``post_processing_details``) or
    ``estimated`` from each update."""
    victims_per_call: Literal["auto"] | Annotated[int, Field(ge=1, le=limits.IMAGES)] = "auto"
    """Victims of one model version that are attacked in one batch. ``auto``: one if a forward pass is expensive, else
    as many as fit into 512 MiB, at most 16. Always one with L-BFGS, a plateau, or estimates from each update."""

    @model_validator(mode="after")
    def _restarts_that_agree_move_together(self) -> Self:
        if self.optimiser.kind == "lbfgs" and self.priors.group:
            raise ValueError("the group prior needs optimiser adam or signed_adam: L-BFGS runs restarts one by one")
        return self

    @property
    def starts_from(self) -> str | None:
        """The attack named in ``init``."""
        return self.init.from_ if isinstance(self.init, StartFrom) else None

    @property
    def adapts(self) -> bool:
        """Whether trial updates pass through the client's post-processing."""
        return bool(self.adaptive)

    def wanted(self) -> frozenset[type[Capability]]:
        """Capabilities needed; starting images, post-processing, statistics and training details only if used."""
        chosen: set[type[Capability]] = set()
        if self.starts_from:
            chosen.add(StartingImages)
        if self.adaptive is True:
            chosen.add(PostProcessingDetails)
        if self.priors.batch_norm and self.priors.batch_norm_statistics == "exact":
            chosen.add(BatchStatistics)
        if self.local_training in {"known", "known_with_order"}:
            chosen.add(TrainingDetails)
        if self.local_training == "known_with_order":
            chosen.add(MiniBatchOrder)
        return super().wanted() | chosen

    @property
    def local_knowledge(self) -> str:
        """Knowledge of local training: ``known_with_order``, ``known``, ``estimated``, ``assumed`` or ``unknown``."""
        wanted = self.wanted()
        if MiniBatchOrder in wanted:
            return "known_with_order"
        if TrainingDetails in wanted:
            return "known"
        if not isinstance(self.local_training, LocalTrainingGuess):
            return "unknown"
        return "estimated" if self.local_training.is_estimated else "assumed"

    def problem(self, known: InversionKnowledge) -> Problem:
        """The inversion problem of one update.

        Raises:
            AttackFailedError: if too little is known about the update.
        """
        problem = make_problem(known, self._guess)
        if self.adaptive != "estimated":
            return problem
        steps = estimated_postprocessing(known.update.tensors)
        return replace(problem, postprocessing=tuple(s for s in steps if problem.knows_size or not s.needs_size))

    @property
    def _guess(self) -> LocalTrainingGuess | None:
        return self.local_training if isinstance(self.local_training, LocalTrainingGuess) else None

    def victims_together(self, known: InversionKnowledge) -> int:
        """How many updates like this one ``reconstruct_several`` accepts in one call."""
        problem = self.problem(known)
        guess = self._guess
        estimates = self.adaptive == "estimated" or (guess is not None and guess.is_estimated)
        if self.optimiser.kind == "lbfgs" or self.optimiser.plateau or estimates:
            return 1
        if self.victims_per_call != "auto":
            return self.victims_per_call
        objective = self._engine(problem).objective
        return victims_at_once(objective.module, objective.shape, restarts=self.restarts, samples=problem.samples)

    def reconstruct_several(
        self, known: Sequence[InversionKnowledge], *, generators: Sequence[torch.Generator]
    ) -> list[Reconstruction | AttackFailedError]:
        """Attack victims of one model version and batch size together; equal to ``reconstruct`` up to rounding."""
        prepared = [self._prepared(self.problem(one), g) for one, g in zip(known, generators, strict=True)]
        ready = [search for search in prepared if isinstance(search, PreparedSearch)]
        found = iter(self._search(ready) if ready else [])
        return [next(found) if isinstance(search, PreparedSearch) else search for search in prepared]

    def invert(self, known: InversionKnowledge, generator: torch.Generator) -> Reconstruction:
        """Run the search and return the iterate that is kept (``keep``) of the trial in which it matches best.

        Raises:
            AttackFailedError: if the update cannot be matched, or no trial had a finite loss.
        """
        (answer,) = self.reconstruct_several([known], generators=[generator])
        if isinstance(answer, AttackFailedError):
            raise answer
        return answer

    def _prepared(self, problem: Problem, generator: torch.Generator) -> PreparedSearch | AttackFailedError:
        try:
            tensors = search_tensors(problem, self.distance, restarts=self.restarts, box=self.box)
            return PreparedSearch(problem, tensors, self._start(problem, tensors, generator), generator)
        except AttackFailedError as error:
            return error

    def _search(self, ready: Sequence[PreparedSearch]) -> list[Reconstruction | AttackFailedError]:
        """Search for all victims together; the trials of one victim are consecutive."""
        outcome = self._engine(ready[0].problem).run(
            stack_trials([search.start for search in ready]),
            side_by_side([search.tensors for search in ready]),
            iterations=self.iterations,
            generators=[search.generator for search in ready],
            regroup=self._regroup(ready[0].problem) if self.priors.group else None,
            keep=self.keep,
        )
        answers: list[Reconstruction | AttackFailedError] = []
        for i, search in enumerate(ready):
            own = outcome.of(slice(i * self.restarts, (i + 1) * self.restarts))
            try:
                answers.append(best_reconstruction(search.problem, own, self._decoding(search.problem)))
            except AttackFailedError as error:
                answers.append(error)
        return answers

    def _engine(self, problem: Problem) -> Engine:
        settings = EngineSettings(
            architecture=problem.known.architecture,
            distance=self.distance,
            priors=self.priors,
            decoder=self._decoding(problem),
            optimiser=self.optimiser,
            steps=problem.steps,
            postprocessing=problem.postprocessing,
            train_mode=self.train_mode,
            compiled="never" if self.compile == "auto" and self.iterations < WORTH_COMPILING else self.compile,
            samples=problem.samples,
            device=problem.device,
            fixed=self._fixed,
            mask_weight=self._mask_weight,
            surrogate_pace=self._surrogate_pace,
        )
        return engine_for(settings)

    @property
    def _fixed(self) -> frozenset[str]:
        """Names of variables that are not searched."""
        return frozenset()

    @property
    def _mask_weight(self) -> float | None:
        """Weight of the distance of dropout masks' rates; None: masks are not searched."""
        return None

    @property
    def _surrogate_pace(self) -> float:
        """Learning rate of a surrogate model's position, as a factor of the optimiser's."""
        return 1.0

    def _decoding(self, problem: Problem) -> Decoding:
        """What turns the variables of the search into images."""
        return self.decoder

    def _start(self, problem: Problem, tensors: SearchTensors, generator: torch.Generator) -> Tensors:
        """Initial variables of all trials, ``(T, B, ...)``."""
        architecture = problem.known.architecture
        shape = (self.restarts, problem.samples, *self.decoder.code_shape(architecture.input_shape))
        if isinstance(self.init, StartFrom):
            losses = partial(matching_loss, self._engine(problem).objective, self.decoder, tensors.of(0))
            images = ordered_images(problem, self.init.from_, losses)
            code = perturbed(problem, self.decoder.encode(images), self.init.noise, self.restarts, generator)
        else:
            code = noise_start(self.init, shape, problem.known.pixels, generator)
        variables = {"code": code.to(problem.like)}
        if problem.labels is None:
            free = torch.randn(*shape[:2], architecture.outputs, generator=generator)
            variables["labels"] = free.to(problem.like)
        return variables

    def _regroup(self, problem: Problem) -> Regroup:
        """A function that updates the consensus of each victim's restarts, a registered one every ``refresh`` steps."""
        group, shape, restarts = self.group, problem.known.architecture.input_shape, self.restarts

        def regroup(variables: Tensors, tensors: SearchTensors, iteration: int) -> SearchTensors:
            registered = group.consensus == "registered" and iteration >= group.start
            if registered and iteration > group.start and iteration % group.refresh:
                return tensors
            images = torch.stack([self.decoder.images(own, shape) for own in each_trial(variables)])
            consensus = [
                registered_consensus(own, largest_shift=group.largest_shift) if registered else mean_consensus(own)
                for own in images.reshape(-1, restarts, *images.shape[1:]).unbind()
            ]
            return tensors.with_consensus(torch.cat([c.repeat(restarts, 1, 1, 1, 1) for c in consensus]))

        return regroup


class LabelledInversion(InversionAttack):
    """Base class of attacks that use the labels of the scenario's label inference."""

    def reconstruct(self, known: LabelledKnowledge, *, generator: torch.Generator) -> Reconstruction:
        """Images of one update, image ``i`` of class ``labels[i]``."""
        return self.invert(known, generator)


class PreparedSearch(NamedTuple):
    """Inputs of the search for one victim's images."""

    problem: Problem
    tensors: SearchTensors
    start: Tensors
    generator: torch.Generator
