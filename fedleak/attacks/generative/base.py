"""Base class of generator-based attacks: features, training, restoring and reconstruction."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits, seeds
from fedleak.attacks.base import Artefact, Reconstruction, TrainedAttack
from fedleak.attacks.generative.acceleration import AccelerationSettings, accelerated
from fedleak.attacks.generative.features import GradientFeatures, OutputLayer, layer_columns
from fedleak.attacks.generative.training import TrainingSettings, split_pairs, train_generator
from fedleak.attacks.generative.versions import VersionedFeatures, fit_versions, restore_versions
from fedleak.attacks.layers.graph import LayerGraph
from fedleak.attacks.layers.patch_embedding import embedding_layer
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.models.state import trainable
from fedleak.progress import Progress
from fedleak.threat import InjectedPairs, ModelArchitecture, SharedUpdate
from fedleak.transcript.layout import Layout


@dataclass(frozen=True)
class TargetShape:
    """Output shape of a generator: ``images`` images of shape ``image`` = ``(C, H, W)``."""

    images: int
    image: InputShape

    @property
    def values(self) -> int:
        """Number of values in one output."""
        return self.images * math.prod(self.image)


@dataclass(frozen=True)
class TrainedGenerator:
    """A trained generator with its features."""

    features: VersionedFeatures
    network: nn.Module


class GenerativeAttack(TrainedAttack[TrainedGenerator]):
    """Base class of LTI and GIT. Needs the injected pairs and the architecture, but no model weights or labels."""

    solves_output_layer: ClassVar[bool] = False
    """Whether the features include the last layer's input, solved in closed form."""

    solves_embedding: ClassVar[bool] = False
    """Whether the features include a patch embedding's input, solved in closed form."""

    parameters: int = Field(default=4_000_000, ge=1000, le=limits.PARAMETERS)
    """Approximate number of trainable parameters; the hidden width follows from it."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the features of the update."""
    max_layer_features: int = Field(default=16_384, ge=16, le=limits.PARAMETERS)
    """Wider layers are reduced to this many features by feature hashing; wider estimates are limited to this width."""
    training: TrainingSettings = TrainingSettings()
    acceleration: AccelerationSettings = AccelerationSettings()

    @property
    def plain_features(self) -> bool:
        """Whether the generator takes updates as they are, neither scaled nor standardised."""
        return False

    def training_settings(self) -> dict[str, Any]:
        """All but ``parameters`` if a hidden width is given, which decides the size of the generator."""
        settings = super().training_settings()
        return {name: value for name, value in settings.items() if name != "parameters" or not settings.get("hidden")}

    @abstractmethod
    def network(self, graph: LayerGraph, features: GradientFeatures, target: TargetShape) -> nn.Module:
        """The untrained generator: features ``(n, F)`` -> images ``(n, B, C, H, W)`` in [0, 1]."""

    def fit(
        self,
        pairs: InjectedPairs,
        architecture: ModelArchitecture,
        *,
        generator: torch.Generator,
        progress: Progress,
        device: torch.device,
    ) -> Artefact:
        """Train on the pairs; some of them are held out for early stopping.

        Args:
            pairs, architecture: what the adversary knows.
            generator: for the split, the initial weights and the order of the pairs.
            device: where to train.
        """
        graph, unfitted = self._features(architecture)
        rows = split_pairs(len(pairs), self.training.held_out, generator)
        features = fit_versions(pairs, rows[0], unfitted)
        target = TargetShape(pairs.index.shape[1], architecture.input_shape)
        with seeds.global_torch_seed(int(torch.randint(2**62, (1,), generator=generator))):
            network = self.network(graph, unfitted, target).to(device)
            outcome = train_generator(
                accelerated(network, self.acceleration, device),
                pairs,
                features,
                rows,
                self.training,
                generator=generator,
                progress=progress,
                name=self.name,
            )
        return Artefact(
            parameters={n: t.detach().cpu().contiguous() for n, t in network.state_dict().items()},
            parameter_count=sum(p.numel() for p in network.parameters()),
            by_version=features.statistics(),
            curves={"train": outcome.train_curve, "held_out": outcome.held_out_curve},
            facts={
                "images_per_update": target.images,
                "features": unfitted.size,
                "best_epoch": outcome.best_epoch,
                "pairs": len(rows[0]),
                "held_out_pairs": len(rows[1]),
            },
        )

    def restore(self, artefact: Artefact, architecture: ModelArchitecture, *, device: torch.device) -> TrainedGenerator:
        """Rebuild the generator from its weights."""
        graph, unfitted = self._features(architecture)
        features = restore_versions(unfitted, artefact.by_version)
        target = TargetShape(int(artefact.facts["images_per_update"]), architecture.input_shape)
        with seeds.global_torch_seed(0):  # these initial weights are overwritten
            network = self.network(graph, unfitted, target)
        network.load_state_dict(dict(artefact.parameters))
        return TrainedGenerator(features, network.to(device).eval())

    @torch.no_grad()
    def reconstruct(
        self, trained: TrainedGenerator, update: SharedUpdate, *, generator: torch.Generator
    ) -> Reconstruction:
        """Run one forward pass of the generator.

        Raises:
            AttackFailedError: if the update comes from a different number of images than the generator was trained for.
        """
        parameter = next(trained.network.parameters())
        features = trained.features.of(update.model_version)
        images: Tensor = trained.network(features(update.flat()[None].to(parameter.device)))[0]
        if update.samples is not None and update.samples != len(images):
            raise AttackFailedError(
                f"the update comes from {update.samples} images, the generator was trained for {len(images)}"
            )
        return Reconstruction(images=images.cpu())

    def _features(self, architecture: ModelArchitecture) -> tuple[LayerGraph, GradientFeatures]:
        """The leaked model's graph, and the features of its updates without fitted statistics."""
        model = architecture.build(seed=0)
        graph = trace_layers(model, architecture.input_shape)
        layout = Layout.of(trainable(model).items())
        columns = layer_columns(
            layout, [layer.parameters for layer in graph.layers], max_width=self.max_layer_features, seed=0
        )
        slots = {slot.name: (slot.start, slot.stop) for slot in layout.slots}
        last = graph.last
        scale = slots.get(last.bias) if last and last.bias else None
        output = None
        if self.solves_output_layer and scale is not None and last and last.weight in slots:
            output = OutputLayer(weight=slots[last.weight], bias=scale)
        embedding = embedding_layer(graph, layout) if self.solves_embedding else None
        return graph, GradientFeatures(columns, scale, output, embedding, plain=self.plain_features)


def integer_root(quadratic: float, linear: float, budget: float) -> int:
    """The integer h >= 1 for which ``quadratic h^2 + linear h`` is nearest to ``budget``."""
    if quadratic == 0:
        return max(1, round(budget / linear))
    return max(1, round((math.sqrt(linear**2 + 4 * quadratic * max(0, budget)) - linear) / (2 * quadratic)))
