"""Settings of the clients: the block ``federation.client``."""

from __future__ import annotations

from operator import not_
from typing import Literal, Self

from pydantic import Field, model_validator

from fedleak import limits
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.component import Settings
from fedleak.scenario.choices import AugmentationChoice, GuardChoice, OptimizerChoice, PostProcessChoice
from fedleak.tasks.base import LearningTask


class Drift(Settings):
    """Local training of every client on its own images before it computes the shared update.

    Victims' parameters then differ from those with which the compromised client computes injected batches (parameter
    discrepancy; Chen & Liu 2025, arXiv 2505.20026, section 5.2.3). It restarts from the global model in every round.
    The adversary sees neither drifted parameters nor the images behind them.
    """

    images: int = Field(ge=1, le=limits.IMAGES)
    """Number of the client's images to train on, the same images in every round."""
    epochs: int = Field(ge=0, le=limits.EPOCHS)
    """Passes over these images; 0: none."""
    learning_rate: float = Field(default=0.01, gt=0, le=limits.RATE)
    """Learning rate of the training."""
    batch_size: int = Field(default=32, ge=1, le=limits.IMAGES)
    """Images in a mini-batch."""
    side: Literal["victims", "both"] = Field(default="victims", exclude_if=lambda value: value == "victims")
    """``victims``: injected batches are computed with the global model; ``both``: the compromised client, too, trains
    on its own images before it computes them, as each node does in the paper."""


class ClientSettings(Settings):
    """Settings of the clients: local training, defenses and post-processing."""

    protocol: Literal["fedsgd", "fedavg"] = "fedsgd"
    """``fedsgd``: share one gradient; ``fedavg``: train locally, share the weight delta."""
    batch_size: int = Field(default=1, ge=1, le=limits.IMAGES)
    """Images in a gradient (fedsgd) or a local mini-batch (fedavg); a client that holds fewer uses all of them."""
    samples: int | None = Field(default=None, ge=1, le=limits.IMAGES)
    """fedavg: number of images that a client uses in a round (default: its whole partition)."""
    selection: Literal["random", "largest_gradients"] = "random"
    """``random``: new images in every round; ``largest_gradients``: always the images with the largest gradients under
    the initial model, taken from every class in turn (GradInversion's vulnerable population, arXiv 2104.07586,
    section 4.3)."""
    local_epochs: int = Field(default=1, ge=1, le=limits.EPOCHS)
    """fedavg: passes over the client's images in a round."""
    local_learning_rate: float = Field(default=0.01, gt=0, le=limits.RATE)
    """fedavg: learning rate of the local steps."""
    local_sgd: LocalSgd = PLAIN_SGD
    """fedavg: momentum, weight decay, learning-rate schedule (default: plain SGD)."""
    local_optimizer: OptimizerChoice | None = Field(default=None, exclude_if=lambda value: value is None)
    """fedavg: a local optimiser other than SGD, such as Adam (default: SGD with ``local_sgd``)."""
    proximal_mu: float = Field(default=0.0, ge=0, le=limits.RATE, exclude_if=lambda value: value == 0)
    """fedavg: weight mu of the proximal term ``mu / 2 ||w - w_t||^2`` of every client's objective (FedProx; Li et al.
    2020, arXiv 1812.06127, eq. 2; default: none)."""
    batch_norm: Literal["eval", "train_shared", "train_local"] = "eval"
    """``eval``: broadcast running statistics; ``train_shared``, ``train_local``: batch statistics, whose running
    averages are shared or kept."""
    dropout: bool = Field(default=False, exclude_if=not_)
    """Train with dropout, stochastic depth and all else that a model does only in training, but for normalisation."""
    augment: tuple[AugmentationChoice, ...] = ()
    """Applied to a client's images before training, once per update; injected batches are treated in the same way."""
    dp_sgd: DpSgd | None = None
    """Clip each example's gradient and add noise, in every local step; epsilon is reported (needs ``fedleak[dp]``;
    default: none)."""
    guards: tuple[GuardChoice, ...] = ()
    """Checks of the broadcast model; a client that finds it crafted does not train and reports the reason."""
    drift: Drift | None = None
    """Train locally before computing the update (default: off)."""
    postprocess: tuple[PostProcessChoice, ...] = ()
    """Applied to every update before it leaves the client, in this order."""
    error_feedback: bool = False
    """Each client adds what the compressors of ``postprocess`` left out of its last update to its next one. Injected
    batches neither use nor change this residual: a pair depends only on its images, not on earlier rounds."""

    @property
    def drifts_injected(self) -> bool:
        """Whether injected batches are computed with the compromised client's own drifted parameters."""
        return self.drift is not None and self.drift.epochs > 0 and self.drift.side == "both"

    def training(self, task: LearningTask) -> LocalTraining:
        """The local training of a client with these settings."""
        return LocalTraining(
            protocol=self.protocol,
            batch_size=self.batch_size,
            epochs=self.local_epochs,
            learning_rate=self.local_learning_rate,
            train_mode=self.batch_norm != "eval",
            dropout=self.dropout,
            optimizer=self.local_optimizer or self.local_sgd,
            proximal_mu=self.proximal_mu,
            frozen=frozen_layers(self.postprocess),
            task=task,
        )

    def images_per_update(self, held: int) -> int:
        """Number of images in one update of a client that holds ``held`` images: all of them if it holds too few."""
        wanted = self.batch_size if self.protocol == "fedsgd" else self.samples
        return held if wanted is None else min(wanted, held)

    @model_validator(mode="after")
    def _fits_protocol(self) -> Self:
        local = self.local_epochs != 1 or self.samples is not None or self.local_sgd != PLAIN_SGD
        if self.protocol == "fedsgd" and local:
            raise ValueError("local_epochs, samples, local_sgd belong to protocol fedavg; fedsgd shares one gradient")
        if self.protocol == "fedsgd" and (self.local_optimizer is not None or self.proximal_mu):
            raise ValueError(
                "local_optimizer, proximal_mu belong to protocol fedavg; fedsgd shares one gradient, no local step"
            )
        if self.local_optimizer is not None and self.local_sgd != PLAIN_SGD:
            raise ValueError("choose either local_sgd or local_optimizer")
        return self

    @model_validator(mode="after")
    def _keeps_examples_apart(self) -> Self:
        mixes = self.batch_norm != "eval" or bool(self.augment) or self.drift is not None
        if self.dp_sgd is not None and mixes:
            raise ValueError("dp_sgd clips each example's gradient: it needs batch_norm eval, no augment and no drift")
        return self

    @model_validator(mode="after")
    def _looks_at_the_batch_first(self) -> Self:
        looking = [step.needs_batch for step in self.postprocess]
        if any(looking) and (
            looking != sorted(looking, reverse=True)
            or (self.protocol, self.batch_norm, self.dp_sgd) != ("fedsgd", "eval", None)
        ):
            kind = self.postprocess[looking.index(True)].kind
            raise ValueError(f"{kind} needs the batch: it must come first, with fedsgd, batch_norm eval and no dp_sgd")
        return self

    @model_validator(mode="after")
    def _feeds_errors_of_compressors_back(self) -> Self:
        others = [step.kind for step in self.postprocess if not step.compresses]
        if self.error_feedback and (others or not self.postprocess):
            found = ", ".join(others) or "nothing"
            raise ValueError(f"error_feedback works only with compressors; postprocess holds {found}")
        return self
