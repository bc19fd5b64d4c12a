"""What every optimisation-based attack shares: its settings, and the way from capabilities to images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator

from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine, Regroup
from fedleak.attacks.inversion.engines import WORTH_COMPILING, CompileName, engine_for
from fedleak.attacks.inversion.known import known_of, stack_known, stack_trials
from fedleak.attacks.inversion.memory import victims_at_once
from fedleak.attacks.inversion.objective import Known, each_trial
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.outcome import best_reconstruction
from fedleak.attacks.inversion.priors import Priors, mean_consensus, registered_consensus
from fedleak.attacks.inversion.problem import Problem, gather
from fedleak.attacks.inversion.replay import Tensors
from fedleak.attacks.inversion.settings import Group, Init, LocalTraining, LocalTrainingGuess, StartFrom
from fedleak.attacks.inversion.start import matching_loss, noise_start, ordered_images, perturbed
from fedleak.attacks.inversion.transform import estimated_chain
from fedleak.errors import AttackFailedError
from fedleak.threat import (
    BatchStatistics,
    Capability,
    MiniBatchOrder,
    PostProcessingDetails,
    StartingImages,
    TrainingDetails,
)


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
    compile: CompileName = "auto"
    """Pass the iteration through ``torch.compile``; ``auto``: from 2,000 iterations on, except for networks with
    wide layers whose gradients need not be written out, which saves more."""
    local_training: LocalTraining = None
    """For weight deltas: ``worst``, ``known``, ``estimated`` or ``best`` knowledge of the local steps, or a mapping of
    what is assumed; all but ``best`` unroll them."""
    adaptive: bool | Literal["estimated"] = False
    """Pass trial updates through the client's post-processing, which the adversary must be granted to know, or which is
    ``estimated`` from each update itself."""
    victims_per_call: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Victims of one model version that are attacked side by side. ``auto``: one where a pass of the network is long,
    else as many as share 512 MiB, at most 16; L-BFGS, stopping on a plateau and what is estimated from each
    update go one by one."""

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
        """Starting images only where ``init`` names an attack; post-processing and statistics only where used."""
        chosen: set[type[Capability]] = set()
        if self.starts_from:
            chosen.add(StartingImages)
        if self.adaptive is True:
            chosen.add(PostProcessingDetails)
        if self.priors.batch_norm and self.priors.batch_norm_statistics == "exact":
            chosen.add(BatchStatistics)
        if self.local_training in {"known", "worst"}:
            chosen.add(TrainingDetails)
        if self.local_training == "worst":
            chosen.add(MiniBatchOrder)
        return super().wanted() | chosen

    @property
    def local_knowledge(self) -> str:
        """What is known of local training: ``worst``, ``known``, ``estimated``, ``assumed`` or ``best``."""
        wanted = self.wanted()
        if MiniBatchOrder in wanted:
            return "worst"
        if TrainingDetails in wanted:
            return "known"
        if not isinstance(self.local_training, LocalTrainingGuess):
            return "best"
        return "estimated" if self.local_training.is_estimated else "assumed"

    def problem(self, **known: Any) -> Problem:
        """What the capabilities, named as the parameters of ``reconstruct``, say about one update.

        Raises:
            AttackFailedError: if they do not say enough.
        """
        problem = gather(self._guess, **known)
        if self.adaptive != "estimated":
            return problem
        chain = estimated_chain(problem.update.tensors)
        return replace(problem, chain=chain if problem.knows_size else tuple(s for s in chain if not s.needs_size))

    @property
    def _guess(self) -> LocalTrainingGuess | None:
        return self.local_training if isinstance(self.local_training, LocalTrainingGuess) else None

    def victims_together(self, known: Mapping[str, Capability]) -> int:
        """How many updates ``reconstruct_several`` takes, judged by one of them."""
        problem = self.problem(**known)
        guess = self._guess
        estimates = self.adaptive == "estimated" or (guess is not None and guess.is_estimated)
        if self.optimiser.kind == "lbfgs" or self.optimiser.plateau or estimates:
            return 1
        if self.victims_per_call != "auto":
            return self.victims_per_call
        objective = self._engine(problem).objective
        return victims_at_once(objective.module, objective.shape, restarts=self.restarts, samples=problem.samples)

    def reconstruct_several(
        self, known: Sequence[Mapping[str, Capability]], *, generators: Sequence[torch.Generator]
    ) -> list[Reconstruction | AttackFailedError]:
        """Victims of one model version and batch size at once; each as ``reconstruct`` finds it, to rounding."""
        return self.invert([self.problem(**some) for some in known], generators)

    def invert_one(self, problem: Problem, generator: torch.Generator) -> Reconstruction:
        """Search, and return the best trial's best iterate.

        Raises:
            AttackFailedError: if the update cannot be matched, or no trial ever had a finite loss.
        """
        (answer,) = self.invert([problem], [generator])
        if isinstance(answer, AttackFailedError):
            raise answer
        return answer

    def invert(
        self, problems: Sequence[Problem], generators: Sequence[torch.Generator]
    ) -> list[Reconstruction | AttackFailedError]:
        """Search for the images of several updates side by side, or say why it cannot be done."""
        prepared = [self._prepared(p, g) for p, g in zip(problems, generators, strict=True)]
        ready = [trial for trial in prepared if isinstance(trial, Trials)]
        found = iter(self._search(ready) if ready else [])
        return [next(found) if isinstance(trial, Trials) else trial for trial in prepared]

    def _prepared(self, problem: Problem, generator: torch.Generator) -> Trials | AttackFailedError:
        try:
            known = known_of(problem, self.distance, restarts=self.restarts, box=self.box)
            return Trials(problem, known, self._start(problem, known, generator), generator)
        except AttackFailedError as error:
            return error

    def _search(self, ready: Sequence[Trials]) -> list[Reconstruction | AttackFailedError]:
        """The trials of one victim lie next to each other."""
        outcome = self._engine(ready[0].problem).run(
            stack_trials([trials.start for trials in ready]),
            stack_known([trials.known for trials in ready]),
            iterations=self.iterations,
            generators=[trials.generator for trials in ready],
            regroup=self._regroup(ready[0].problem) if self.priors.group else None,
        )
        answers: list[Reconstruction | AttackFailedError] = []
        for i, trials in enumerate(ready):
            own = outcome.of(slice(i * self.restarts, (i + 1) * self.restarts))
            try:
                answers.append(best_reconstruction(trials.problem, own, self.decoder))
            except AttackFailedError as error:
                answers.append(error)
        return answers

    def _engine(self, problem: Problem) -> Engine:
        compiled = "never" if self.compile == "auto" and self.iterations < WORTH_COMPILING else self.compile
        device = next(iter(problem.update.tensors.values())).device
        settings = (self.distance, self.priors, self.decoder, self.optimiser)
        local = (problem.steps, problem.chain, self.train_mode)
        return engine_for(problem.architecture, *settings, *local, compiled, problem.samples, device)

    def _start(self, problem: Problem, known: Known, generator: torch.Generator) -> Tensors:
        """Where all trials start, ``(T, B, ...)``."""
        like = next(iter(problem.update.tensors.values()))
        shape = (self.restarts, problem.samples, *self.decoder.code_shape(problem.architecture.input_shape))
        if isinstance(self.init, StartFrom):
            losses = partial(matching_loss, self._engine(problem).objective, self.decoder, known.of(0))
            images = ordered_images(problem, self.init.from_, losses)
            code = perturbed(problem, self.decoder.encode(images), self.init.noise, self.restarts, generator)
        else:
            code = noise_start(self.init, shape, problem.pixels, generator)
        variables = {"code": code.to(like)}
        if problem.labels is None:
            logits = torch.randn(*shape[:2], problem.architecture.classes, generator=generator)
            variables["logits"] = logits.to(like)
        return variables

    def _regroup(self, problem: Problem) -> Regroup:
        """Keeps the consensus of each victim's restarts; a registered one is refreshed now and then."""
        group, shape, restarts = self.group, problem.architecture.input_shape, self.restarts

        def regroup(variables: Tensors, known: Known, iteration: int) -> Known:
            registered = group.consensus == "registered" and iteration >= group.start
            if registered and iteration > group.start and iteration % group.refresh:
                return known
            images = torch.stack([self.decoder.images(own, shape) for own in each_trial(variables)])
            consensus = [
                registered_consensus(own, largest_shift=group.largest_shift) if registered else mean_consensus(own)
                for own in images.reshape(-1, restarts, *images.shape[1:]).unbind()
            ]
            return known._replace(consensus={"images": torch.cat([c.repeat(restarts, 1, 1, 1, 1) for c in consensus])})

        return regroup


class Trials(NamedTuple):
    """A victim whose search can begin."""

    problem: Problem
    known: Known
    start: Tensors
    generator: torch.Generator
