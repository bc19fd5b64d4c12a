"""GIAS: gradient inversion in the latent space of a generative image prior."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from fedleak import limits, seeds
from fedleak.attacks.base import Artefact, Reconstruction, TrainedAttack
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.engines import EngineSettings
from fedleak.attacks.inversion.knowledge import LabelledKnowledge
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.outcome import Inversion, best_reconstruction
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.states import KeptName
from fedleak.attacks.inversion.tensors import search_tensors
from fedleak.attacks.latent.dcgan import DcganTraining
from fedleak.attacks.latent.decoding import GeneratorDecoding
from fedleak.attacks.latent.network import GeneratorSize
from fedleak.attacks.latent.training import GeneratorTraining
from fedleak.progress import Progress
from fedleak.tensors import Tensors
from fedleak.threat import ModelArchitecture, PublicData


class Gias(TrainedAttack[nn.Module], InversionAttack):
    """GIAS: search a generator's latent space, then its weights (Jeon et al. 2021, arXiv 2110.14962).

    The generator is trained offline on the adversary's own images. The search runs ``iterations`` of Adam on the latent
    vectors (section 4.1), then ``weight_iterations`` on the weights of one copy of the generator per image
    (section 4.2), both with cosine distance and total variation. As in the authors' code, the latent vectors stay where
    the first stage left them, learning rates fall in steps, and each stage returns its last iterate;
    ``second_stage: weights_and_latents`` moves both. The iterations are those of Du et al. 2024 (arXiv 2404.05403), who
    call it GIA-L. Our choice: a variational autoencoder by default, because it trains in minutes on a CPU;
    ``training: {kind: dcgan}`` trains the DCGAN that the authors use for CIFAR-10.

    Fails on private images that its generator cannot draw: public images of other classes or too few of them. It then
    returns the nearest image of the generator, which looks like one and is none of the client's.
    """

    kind: Literal["gias"] = "gias"
    iterations: int = Field(default=400, ge=1, le=limits.ITERATIONS)
    weight_iterations: int = Field(default=6000, ge=0, le=limits.ITERATIONS)
    """Steps of the search in the generator's weights, after that in latent space; 0: none."""
    second_stage: Literal["weights", "weights_and_latents"] = "weights"
    """What the second stage searches: the generator's weights, or the latent vectors with them."""
    keep: KeptName = "last"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(kind="adam", learning_rate=0.03, schedule="step")
    weight_optimiser: Optimiser = Optimiser(kind="adam", learning_rate=1e-3, schedule="step")
    """Optimiser of the second stage."""
    compile: Literal["never"] = "never"
    latent: int = Field(default=128, ge=1, le=limits.WIDTH)
    """Dimensions of the latent space."""
    width: int = Field(default=16, ge=1, le=limits.WIDTH)
    """Channels of the generator at full resolution; eight times as many at an eighth of it."""
    training: GeneratorTraining | DcganTraining = GeneratorTraining()
    """How the generative model is trained, and so which one it is: ``kind: vae`` or ``kind: dcgan``."""

    trains_on_model: ClassVar[bool] = False

    def training_settings(self) -> dict[str, Any]:
        """Those of the generative model; all others belong to the search."""
        return self.model_dump(mode="json", include={"kind", "latent", "width", "training"})

    @model_validator(mode="after")
    def _pixels_are_the_generators(self) -> Self:
        if self.starts_from or self.decoder.kind != "identity":
            raise ValueError("gias starts from latent vectors and has its own decoder: leave out init and decoder")
        if self.priors.group:
            raise ValueError("gias continues from its best restart only, so there is no group: leave out priors.group")
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
        """Train the generative model on the adversary's own images."""
        network, curves = self.training.train(
            public.images,
            self._size(architecture),
            generator=generator,
            progress=progress,
            name=self.name,
            device=device,
        )
        tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        parameters = sum(value.numel() for value in network.parameters())
        return Artefact(tensors, parameters, curves=curves, facts={"images": len(public.images)})

    def restore(self, artefact: Artefact, architecture: ModelArchitecture, *, device: torch.device) -> nn.Module:
        """The trained generator."""
        with seeds.global_torch_seed(0):  # the weights drawn here are replaced
            network = self.training.network(self._size(architecture))
        network.load_state_dict(dict(artefact.parameters))
        return network.to(device).eval().requires_grad_(False)

    def reconstruct(
        self, trained: nn.Module, known: LabelledKnowledge, *, generator: torch.Generator
    ) -> Reconstruction:
        """Images of one update: from the latent search, refined by the search over the generator's weights.

        Raises:
            AttackFailedError: if the update cannot be matched, or no trial had a finite loss.
        """
        problem = self.problem(known)
        decoding = GeneratorDecoding(trained, known.pixels)
        code = torch.randn((self.restarts, problem.samples, self.latent), generator=generator)
        start = {"code": code.to(next(trained.parameters()))}
        found = self._searched(problem, decoding, start, self.optimiser, self.iterations, generator)
        latent = best_reconstruction(problem, found, decoding)
        if not self.weight_iterations:
            return latent
        best = found.variables["code"][found.losses.nan_to_num(nan=torch.inf).argmin()]
        start = {name: value[None] for name, value in ({"code": best} | decoding.weights(problem.samples)).items()}
        still = frozenset({"code"} if self.second_stage == "weights" else ())
        refined = self._searched(
            problem, decoding, start, self.weight_optimiser, self.weight_iterations, generator, fixed=still
        )
        answer = best_reconstruction(problem, refined, decoding)
        curve = [*latent.curve["matching_loss"], *answer.curve["matching_loss"]]
        return Reconstruction(answer.images, curve=dict(answer.curve) | {"matching_loss": curve})

    def _searched(
        self,
        problem: Problem,
        decoding: GeneratorDecoding,
        start: Tensors,
        optimiser: Optimiser,
        iterations: int,
        generator: torch.Generator,
        *,
        fixed: frozenset[str] = frozenset(),
    ) -> Inversion:
        """Run one phase of the search; no box is needed, because the generator's output lies in [0, 1]."""
        tensors = search_tensors(problem, self.distance, restarts=len(start["code"]), box=False)
        settings = EngineSettings(
            architecture=problem.known.architecture,
            distance=self.distance,
            priors=self.priors,
            decoder=decoding,
            optimiser=optimiser,
            steps=problem.steps,
            postprocessing=problem.postprocessing,
            train_mode=self.train_mode,
            compiled="never",
            samples=problem.samples,
            device=start["code"].device,
        )
        engine = Engine(settings.objective(), optimiser, compiled=False, fixed=fixed)
        return engine.run(start, tensors, iterations=iterations, generators=[generator], keep=self.keep)

    def _size(self, architecture: ModelArchitecture) -> GeneratorSize:
        return GeneratorSize(self.latent, self.width, architecture.input_shape)
