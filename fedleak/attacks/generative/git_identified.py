"""Exact-GIT without training: weights identified from the pairs, and a linear map from the first activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.base import Artefact, Reconstruction, TrainedAttack
from fedleak.attacks.generative import ridge
from fedleak.attacks.generative.features import chunks
from fedleak.attacks.generative.identification import BackwardRecursion, identify
from fedleak.attacks.layers.chain import chain_of
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.progress import Progress
from fedleak.threat import InjectedPairs, ModelArchitecture, SharedUpdate

Strength = Annotated[float, Field(ge=0, le=limits.RATE)]


@dataclass(frozen=True)
class IdentifiedInverter:
    """A solved attack.

    Attributes:
        walk: the recursion over the layers.
        weights: identified weights of the later layers, by model version.
        first: linear map from the second layer's input to the image.
        shape: of an image, ``(C, H, W)``.
    """

    walk: BackwardRecursion
    weights: dict[int, dict[str, Tensor]]
    first: ridge.LinearMap
    shape: InputShape

    def weights_of(self, version: int) -> dict[str, Tensor]:
        """Weights of the version, or of the latest version before it, or of the earliest version."""
        if not self.weights:
            return {}  # with two layers, no weight has to be identified
        known = sorted(self.weights)
        return self.weights[max((v for v in known if v <= version), default=known[0])]


class GitIdentified(TrainedAttack[IdentifiedInverter]):
    """Identified GIT: Eq. 3 with weights solved for, not trained (ours, after Chen & Liu 2025, arXiv 2505.20026).

    For one image, the last layer's gradients give its input and the logits; many pairs then determine its weight, which
    gives the layer before it, and so on (``identification.py``). The recursion is exact down to the second layer's
    input, except for values lost to ReLU and strides. The first convolution has too few kernel values to solve for its
    input. The image is instead estimated from the second layer's input by ridge regression on the adversary's own
    images, with the regularisation of lowest leave-one-out error. For chains of convolutions and linear layers without
    pooling or normalisation. Needs activations that vary: if a sigmoid network saturates or its activations hardly
    change, float32 gradients carry too little information, and ``git_ridge`` is the better choice.

    Fails on pooling, normalisation and shortcuts, with activations that hardly vary over the pairs, with too few pairs
    to identify the weights, and on noise.
    """

    estimates_weights: ClassVar[bool] = True

    kind: Literal["git_identified"] = "git_identified"
    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification"})
    tikhonov: float = Field(default=1e-8, ge=0, le=1)
    """Tikhonov term of the inverses used for identification, a multiple of the inverted matrix's mean eigenvalue."""
    final_tikhonov: float = Field(default=1e-4, ge=0, le=1)
    """The same for the second layer's input, which strides may leave partly undetermined."""
    identification_pairs: int = Field(default=5000, ge=2, le=limits.IMAGES)
    """Largest number of pairs of each model version used to identify weights; the map to the image uses all pairs."""
    regularisation: tuple[Strength, ...] = Field(default=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), min_length=1)
    """Candidates for the map to the image, in units of the features' mean variance."""

    def fit(
        self,
        pairs: InjectedPairs,
        architecture: ModelArchitecture,
        *,
        generator: torch.Generator,
        progress: Progress,
        device: torch.device,
    ) -> Artefact:
        """Identify the weights of every model version, run the recursion on all pairs, and solve for the image map.

        Raises:
            AttackFailedError: if the pairs hold several images or weight deltas, or the model is not such a chain.
        """
        if pairs.index.shape[1] != 1 or pairs.protocol != "fedsgd":
            raise AttackFailedError("git_identified needs gradients of one image; use git_spatial")
        walk = self._walk(architecture)
        rows = np.arange(len(pairs))
        versions = pairs.versions(rows)
        weights: dict[int, dict[str, Tensor]] = {}
        for version in np.unique(versions):
            chosen = rows[versions == version][: self.identification_pairs]
            weights[int(version)] = identify(walk, pairs.layout.unflatten(pairs.read_updates(chosen).to(device)))
        bar = progress.task(f"inverting pairs for {self.name}", len(pairs))
        activations = []
        for part in chunks(rows, pairs.layout.size):
            for version in np.unique(versions[part]):
                some = part[versions[part] == version]
                update = pairs.layout.unflatten(pairs.read_updates(some).to(device))
                activations.append(walk(update, weights[int(version)]).flatten(1))
                bar.advance(len(some))
        targets = pairs.read_images(rows).flatten(1).to(device)
        first, error = ridge.solve_map(torch.cat(activations), targets, regularisation=self.regularisation)
        return self._artefact(architecture, weights, first, facts={"pairs": len(pairs), "leave_one_out": error})

    def restore(
        self, artefact: Artefact, architecture: ModelArchitecture, *, device: torch.device
    ) -> IdentifiedInverter:
        """Build the inverter from the solved weights and map."""
        weights = {v: {n: t.to(device) for n, t in some.items()} for v, some in artefact.by_version.items()}
        first = ridge.LinearMap(artefact.parameters["map"].to(device), artefact.parameters["intercept"].to(device))
        return IdentifiedInverter(self._walk(architecture), weights, first, architecture.input_shape)

    def reconstruct(
        self, trained: IdentifiedInverter, update: SharedUpdate, *, generator: torch.Generator
    ) -> Reconstruction:
        """Run the recursion once and apply the map.

        Raises:
            AttackFailedError: if the update is not a gradient of one image.
        """
        if update.samples not in (None, 1) or update.protocol != "fedsgd":
            raise AttackFailedError("git_identified reconstructs one image from its gradient; use git_spatial")
        batch = {name: tensor[None] for name, tensor in update.tensors.items()}
        activations = trained.walk(batch, trained.weights_of(update.model_version)).flatten(1)
        image = trained.first(activations).clamp(0, 1)
        return Reconstruction(images=image.reshape(1, *trained.shape).to(torch.float32).cpu())

    def _walk(self, architecture: ModelArchitecture) -> BackwardRecursion:
        chain = chain_of(architecture.build(seed=0), architecture.input_shape)
        return BackwardRecursion(chain, guard=self.tikhonov, final_guard=self.final_tikhonov)

    def _artefact(
        self,
        architecture: ModelArchitecture,
        weights: dict[int, dict[str, Tensor]],
        first: ridge.LinearMap,
        *,
        facts: dict[str, object],
    ) -> Artefact:
        """The artefact; its estimates leave out the last layer, whose rows are known only up to a common vector."""
        start = dict(architecture.build(seed=0).named_parameters())
        earliest = weights[min(weights)]
        return Artefact(
            parameters={"map": first.weights.cpu().contiguous(), "intercept": first.intercept.cpu()},
            parameter_count=first.weights.numel() + sum(t.numel() for t in earliest.values()),
            by_version={v: {n: t.cpu().contiguous() for n, t in some.items()} for v, some in weights.items()},
            estimates={
                name: torch.stack([start[name].detach(), tensor.cpu().to(torch.float32)])
                for name, tensor in list(earliest.items())[1:]
            },
            facts=facts,
        )
