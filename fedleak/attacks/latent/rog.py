"""ROG: gradient inversion in a low-dimensional code, then a network that restores the images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from fedleak import limits, seeds
from fedleak.attacks.base import Artefact, Reconstruction, TrainedAttack
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.engines import EngineSettings
from fedleak.attacks.inversion.knowledge import LabelledKnowledge
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.outcome import best_reconstruction
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.states import KeptName
from fedleak.attacks.inversion.tensors import search_tensors
from fedleak.attacks.latent.codes import AutoencoderSettings, BicubicSettings, CodeDecoding, ImageCode
from fedleak.attacks.latent.restoration import RestorationNetwork, RestorationTraining, train_restoration
from fedleak.progress import Progress
from fedleak.threat import ModelArchitecture, PublicData

CODE, RESTORATION = "code.", "restoration."
"""Prefixes of the tensors of the artefact."""


@dataclass(frozen=True)
class RogNetworks:
    """What ROG trains.

    Attributes:
        code: between images and codes.
        restoration: of the decoded images; None: they are the result.
    """

    code: ImageCode
    restoration: RestorationNetwork | None


class Rog(TrainedAttack[RogNetworks], InversionAttack):
    """ROG: search a small code of the images, then restore them with a network (Yue et al. 2023, arXiv 2206.04055).

    ``min_z || dL(decode(z), y) - g ||^2`` over codes ``z``, then ``x = R(decode(z), y)``. Few unknowns are less free to
    fit quantisation, sparsification or noise than pixels are. The restoration ``R``, which depends on the class, is
    trained offline on the adversary's own images. Defaults as in the authors' code: an image of a quarter of the
    resolution, uniform at first, enlarged bicubically; squared distance, Adam at 0.05 on pixels in [0, 1] with a cosine
    schedule, 100 iterations, the last iterate, no prior. As there, trial updates are compared as they are with the
    decompressed update; ``adaptive: true`` passes them through the client's post-processing. Our readings: the schedule
    falls to zero, theirs to a tenth. Their code has trained networks but not their training: ours restores public
    images that were encoded, had noise added to their codes, and were decoded; theirs averages two networks, one of
    them without classes, and has more channels.

    Fails on details that the code cannot hold: nearly exact updates leak less to it than to a search of pixels.
    """

    kind: Literal["rog"] = "rog"
    iterations: int = Field(default=100, ge=1, le=limits.ITERATIONS)
    keep: KeptName = "last"
    distance: Distance = Distance(kind="squared_l2")
    optimiser: Optimiser = Optimiser(kind="adam", learning_rate=0.05, schedule="cosine")
    """Optimiser of the search; its learning rate is for codes, of images in [0, 1]."""
    init: Literal["uniform"] = "uniform"
    """Codes are uniform in [0, 1) at first, those of an autoencoder standard normal."""
    box: Literal[False] = False
    compile: Literal["never"] = "never"
    code: BicubicSettings | AutoencoderSettings = Field(default=BicubicSettings(), discriminator="kind")
    """What is searched: a smaller image (``bicubic``), or the code of an ``autoencoder``."""
    training: RestorationTraining | None = RestorationTraining()
    """The network that restores decoded images; null: none."""

    trains_on_model: ClassVar[bool] = False

    def training_settings(self) -> dict[str, Any]:
        """Those of the networks; all others belong to the search."""
        return self.model_dump(mode="json", include={"kind", "code", "training"})

    @model_validator(mode="after")
    def _codes_are_its_own(self) -> Self:
        if self.decoder.kind != "identity":
            raise ValueError("rog has its own decoder: leave out decoder, and set code")
        if self.priors.group:
            raise ValueError("the restarts of rog do not move together: leave out priors.group")
        return self

    @property
    def adapts(self) -> bool:
        """Whether trial updates pass through the client's post-processing."""
        return bool(self.adaptive)

    def fit(
        self,
        public: PublicData,
        architecture: ModelArchitecture,
        *,
        generator: torch.Generator,
        progress: Progress,
        device: torch.device,
    ) -> Artefact:
        """Train the code, if it has weights, and the restoration on the adversary's own images."""
        common: dict[str, Any] = {"generator": generator, "progress": progress, "name": self.name, "device": device}
        code, fitted = self.code.train(public.images, **common)
        code.eval().requires_grad_(False)
        parts, curves = {CODE: code.state_dict()}, {"autoencoder": fitted} if fitted else {}
        facts = {"images": len(public.images)}
        if self.training is not None:
            restored = train_restoration(public, code, self.training, **common)
            parts[RESTORATION] = restored.network.state_dict()
            curves |= {"train": restored.train_curve, "held_out": restored.held_out_curve}
            facts["classes"] = restored.network.classes
        tensors = {
            f"{prefix}{name}": value.detach().cpu().contiguous()
            for prefix, state in parts.items()
            for name, value in state.items()
        }
        return Artefact(tensors, sum(value.numel() for value in tensors.values()), curves=curves, facts=facts)

    def restore(self, artefact: Artefact, architecture: ModelArchitecture, *, device: torch.device) -> RogNetworks:
        """The trained networks."""
        shape = architecture.input_shape
        with seeds.global_torch_seed(0):  # the weights drawn here are replaced
            code, restoration = self.code.network(shape), None
            if self.training is not None:
                restoration = RestorationNetwork(shape[0], self.training.width, int(artefact.facts["classes"]))
        for prefix, network in ((CODE, code), (RESTORATION, restoration)):
            if network is not None:
                own = {n.removeprefix(prefix): t for n, t in artefact.parameters.items() if n.startswith(prefix)}
                network.load_state_dict(own)
                network.to(device).eval().requires_grad_(False)
        return RogNetworks(code, restoration)

    def reconstruct(
        self, trained: RogNetworks, known: LabelledKnowledge, *, generator: torch.Generator
    ) -> Reconstruction:
        """Images of one update, image ``i`` of class ``labels[i]``: the decoded code that matches best, restored.

        Raises:
            AttackFailedError: if the update cannot be matched, or no trial had a finite loss.
        """
        problem = self.problem(known)
        decoding = CodeDecoding(trained.code, known.pixels)
        start = {"code": trained.code.start((self.restarts, problem.samples), generator).to(problem.like)}
        tensors = search_tensors(problem, self.distance, restarts=self.restarts, box=False)
        engine = self._prepared_engine(problem, decoding)
        found = engine.run(start, tensors, iterations=self.iterations, generators=[generator], keep=self.keep)
        decoded = best_reconstruction(problem, found, decoding)
        if trained.restoration is None:
            return decoded
        images = decoded.images.to(problem.like)
        labels = problem.labels if known.architecture.task.kind == "classification" else None
        return replace(decoded, images=trained.restoration.restored(images, labels).cpu())

    def _prepared_engine(self, problem: Problem, decoding: CodeDecoding) -> Engine:
        settings = EngineSettings(
            architecture=problem.known.architecture,
            distance=self.distance,
            priors=self.priors,
            decoder=decoding,
            optimiser=self.optimiser,
            steps=problem.steps,
            postprocessing=problem.postprocessing,
            train_mode=self.train_mode,
            compiled="never",
            samples=problem.samples,
            device=problem.device,
        )
        return Engine(settings.objective(), self.optimiser, compiled=False)
