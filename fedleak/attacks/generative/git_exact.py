"""Exact-GIT: layer-by-layer inversion of the leaked model's backpropagation, with the unknown weights as parameters."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from fedleak.attacks.base import Artefact, Reconstruction, TrainedAttack
from fedleak.attacks.generative.exact_network import ExactNetwork
from fedleak.attacks.generative.exact_training import train_exactly
from fedleak.attacks.generative.training import TrainingSettings
from fedleak.attacks.layers.chain import chain_of
from fedleak.progress import Progress
from fedleak.threat import InjectedPairs, ModelArchitecture, PixelPrior, SharedUpdate


class GitExact(TrainedAttack[ExactNetwork]):
    """Exact Gradient Inversion Transcript: solves Eq. 3 from the last layer to the first (arXiv 2505.20026).

    ``a_{i-1} = [(W_{i+1}^T d_{i+1}) * s'(a_i)]^+ G_{W_i}`` with ``d_{i+1} = G_{W_{i+1}} (a_i^T)^+``; its parameters are
    estimates of the leaked weights ``W_2 .. W_L``, initialised at random and trained end to end on the injected pairs.
    The estimates of every epoch are kept, so that scoring can compare them with the leaked weights (Figure 3). For
    multi-layer perceptrons and small convolutional chains without pooling or normalisation, whose last layer has a
    bias. Exact for one image; for a batch, every image gets the same estimate.

    Fails on pooling, normalisation and shortcuts, without a bias in the last layer, on batches, and on noise, which the
    equation amplifies from layer to layer.
    """

    stream: ClassVar[str] = "exact_git"

    estimates_weights: ClassVar[bool] = True

    kind: Literal["git_exact"] = "git_exact"
    use_bias_gradients: bool = True
    """Take ``d`` from the bias gradient of every linear layer with a bias, which needs no weights; if false, only the
    last bias is used, as in the paper."""
    tikhonov: float = Field(default=1e-9, ge=0, le=1)
    """Tikhonov term of the pseudo-inverses, a multiple of the mean eigenvalue of the inverted matrix."""
    training: TrainingSettings = TrainingSettings(epochs=100, batch_size=64, learning_rate=1e-2, patience=100)
    """Plain Adam; ``weight_decay`` is not used."""

    def training_settings(self) -> dict[str, Any]:
        """All but the weight decay, which is not used."""
        settings = super().training_settings()
        return settings | {"training": {n: v for n, v in settings["training"].items() if n != "weight_decay"}}

    def fit(
        self,
        pairs: InjectedPairs,
        architecture: ModelArchitecture,
        pixels: PixelPrior,
        *,
        generator: torch.Generator,
        progress: Progress,
        device: torch.device,
    ) -> Artefact:
        """Train the weights on the pairs; some of them are held out for early stopping.

        Args:
            pairs, architecture, pixels: what the adversary knows.
            generator: for the split, the initial weights and the order of the pairs.
            device: where to train.
        """
        seed = int(torch.randint(2**62, (1,), generator=generator))
        network = self._network(architecture, pixels, seed=seed).to(device)
        course = train_exactly(network, pairs, self.training, generator=generator, progress=progress, name=self.name)
        return Artefact(
            parameters=course.best,
            parameter_count=sum(p.numel() for p in network.parameters()),
            estimates={name: torch.stack(values) for name, values in course.weights.items()},
            curves={"train": course.train_curve, "held_out": course.held_out_curve},
            facts={
                "best_epoch": course.best_epoch,
                "pairs": course.pairs,
                "held_out_pairs": course.held_out_pairs,
            },
        )

    def restore(
        self, artefact: Artefact, architecture: ModelArchitecture, pixels: PixelPrior, *, device: torch.device
    ) -> ExactNetwork:
        """Load the trained weights."""
        network = self._network(architecture, pixels, seed=0)  # these initial weights are overwritten
        network.load(artefact.parameters)
        return network.to(device).eval()

    @torch.no_grad()
    def reconstruct(self, trained: ExactNetwork, update: SharedUpdate, *, generator: torch.Generator) -> Reconstruction:
        """Run the recursion once.

        Raises:
            AttackFailedError: if a layer's system has no solution.
        """
        image = trained({name: tensor[None] for name, tensor in update.tensors.items()})
        pixels = image.clamp(0, 1).to(torch.float32).cpu()
        return Reconstruction(images=pixels.repeat(update.samples or 1, 1, 1, 1))

    def _network(self, architecture: ModelArchitecture, pixels: PixelPrior, *, seed: int) -> ExactNetwork:
        model = architecture.build(seed=seed)
        chain = chain_of(model, architecture.input_shape)
        return ExactNetwork(
            chain, pixels, architecture.input_shape, read_biases=self.use_bias_gradients, guard=self.tikhonov
        )
