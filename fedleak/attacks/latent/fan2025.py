"""The attack of Fan et al. 2025: search of the weights of an untrained generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor
from torch.func import functional_call

from fedleak import limits, seeds
from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.decoders import Decoding
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.knowledge import InversionKnowledge
from fedleak.attacks.inversion.objective import SearchTensors
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.states import KeptName
from fedleak.attacks.latent.decoding import WEIGHTS
from fedleak.attacks.latent.network import ImageGenerator
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.tensors import Tensors
from fedleak.threat import PixelPrior


class Fan2025(LabelledInversion):
    """FedLeak: weights of an untrained generator, partial matching, look-ahead (Fan et al. 2025, arXiv 2506.08435).

    As the paper's published code does: one untrained generator makes all images of the batch from fixed random
    vectors, and its weights are searched. For each parameter of the leaked model, the half of the coordinates with the
    largest magnitude in the *trial* gradient is compared, by mean absolute difference plus cosine distance ("partial
    gradient matching"). The direction is 0.7 times the signs of the gradient and 0.3 times those where a first step of
    AdamW leads, which the moments remember ("gradient regularisation"). AdamW at 1e-2 with a cosine schedule, 10,000
    iterations, total variation 1e-5, a 5x5 median filter at the end. Our readings: the generator has one convolution
    with group normalisation for every doubling of the size, the code's has two with spectral and batch normalisation
    and 256 channels; total variation is that of normalised images; the result is the last iterate, the code's is the
    look-ahead point before it. The code is given the true labels (``label_inference: oracle``).

    Fails on small budgets: an untrained generator needs thousands of iterations, and its median filter removes detail
    from small images. Repeated labels and large batches mix images as in every search.
    """

    kind: Literal["fan2025"] = "fan2025"
    iterations: int = Field(default=10_000, ge=1, le=limits.ITERATIONS)
    keep: KeptName = "last"
    distance: Distance = Distance(kind="l1_cosine_per_layer", top_share=0.5, top_of="trial")
    priors: Priors = Priors(total_variation=1e-5)
    optimiser: Optimiser = Optimiser(
        kind="signed_adam",
        learning_rate=1e-2,
        schedule="cosine",
        weight_decay=0.01,
        gradient_blend=0.3,
        blend_at="ahead",
    )
    box: Literal[False] = False
    compile: Literal["never"] = "never"
    latent: int = Field(default=128, ge=1, le=limits.WIDTH)
    """Length of the random vector behind an image."""
    width: int = Field(default=32, ge=1, le=limits.WIDTH)
    """Channels of the generator at full resolution; eight times as many at an eighth of it."""
    median: int = Field(default=5, ge=1, le=limits.PIXELS)
    """Side of the median filter on the result, in pixels, odd; 1: none."""

    @model_validator(mode="after")
    def _pixels_are_the_generators(self) -> Self:
        if self.starts_from or self.decoder.kind != "identity" or self.priors.group:
            raise ValueError("fan2025 searches its own generator: leave out init, decoder and priors.group")
        if self.optimiser.kind == "lbfgs":
            raise ValueError("fan2025 needs optimiser adam or signed_adam")
        if self.median % 2 == 0:
            raise ValueError(f"the side of a median filter is odd, not {self.median}")
        return self

    def reconstruct_several(
        self, known: Sequence[InversionKnowledge], *, generators: Sequence[torch.Generator]
    ) -> list[Reconstruction | AttackFailedError]:
        """Attack victims of one model version and batch size together, and filter their images."""
        answers = super().reconstruct_several(known, generators=generators)
        return [
            replace(answer, images=median_filter(answer.images, self.median))
            if isinstance(answer, Reconstruction)
            else answer
            for answer in answers
        ]

    @property
    def _fixed(self) -> frozenset[str]:
        return frozenset({"code"})

    def _decoding(self, problem: Problem) -> Decoding:
        network = _without_weights(self.latent, self.width, problem.known.architecture.input_shape)
        return SharedGenerator(network, problem.known.pixels)

    def _start(self, problem: Problem, tensors: SearchTensors, generator: torch.Generator) -> Tensors:
        """Random vectors ``(T, B, latent)``, and a new generator's weights for each trial."""
        code = torch.randn((self.restarts, problem.samples, self.latent), generator=generator)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        with seeds.global_torch_seed(seed):
            shape = problem.known.architecture.input_shape
            networks = [ImageGenerator(self.latent, self.width, shape) for _ in range(self.restarts)]
        weights = [dict(network.named_parameters()) for network in networks]
        stacked = {f"{WEIGHTS}{n}": torch.stack([own[n].detach() for own in weights]) for n in weights[0]}
        return {name: value.to(problem.like) for name, value in ({"code": code} | stacked).items()}


@dataclass(frozen=True)
class SharedGenerator:
    """Decodes random vectors ``code`` ``(B, latent)`` with one generator for the batch, whose weights are variables.

    Attributes:
        network: the generator, whose own weights are not used.
        pixels: normalisation of the leaked model's images.
    """

    network: ImageGenerator
    pixels: PixelPrior

    def images(self, variables: Mapping[str, Tensor], shape: InputShape) -> Tensor:
        """Normalised images ``(B, C, H, W)``."""
        weights = {n.removeprefix(WEIGHTS): value for n, value in variables.items() if n.startswith(WEIGHTS)}
        images: Tensor = functional_call(self.network, weights, (variables["code"],))
        return self.pixels.normalisation.apply(images)


@lru_cache(maxsize=8)
def _without_weights(latent: int, width: int, shape: InputShape) -> ImageGenerator:
    with torch.device("meta"):
        return ImageGenerator(latent, width, shape)


def median_filter(images: Tensor, side: int) -> Tensor:
    """The median over ``side`` times ``side`` pixels around each pixel of ``(B, C, H, W)``, reflected at the border.

    Images that are too small for the reflection are filtered with the largest odd side that fits.
    """
    side = min(side, 2 * min(images.shape[-2:]) - 1)
    reach = side // 2
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect") if reach else images
    windows = padded.unfold(2, side, 1).unfold(3, side, 1)
    return windows.flatten(4).median(dim=-1).values
