"""Blocks of settings that every optimisation-based attack has."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, ConfigDict, Field

from fedleak.attacks.inversion.replay import LocalSteps, assumed_order
from fedleak.component import Settings


class LocalTrainingGuess(Settings):
    """How the client trains, as the attacker assumes without knowing."""

    learning_rate: float = Field(gt=0)
    epochs: int = Field(default=1, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    """All images at once unless given."""

    def steps(self, samples: int) -> LocalSteps:
        """The local steps on a batch of ``samples`` images."""
        order = assumed_order(samples, batch_size=self.batch_size or samples, epochs=self.epochs)
        return LocalSteps(self.learning_rate, order)


class Group(Settings):
    """How restarts agree on one image (GradInversion, arXiv 2104.07586, section 3.3)."""

    consensus: Literal["lazy", "registered"] = "lazy"
    """The pixel mean; or the mean after shifting every candidate onto it."""
    start: int = Field(default=5000, ge=0)
    """Iteration from which candidates are registered."""
    refresh: int = Field(default=100, ge=1)
    largest_shift: int = Field(default=2, ge=1)


class StartFrom(Settings):
    """Start from another attack's reconstructions, as GIT+IG does (Chen & Liu 2025, arXiv 2505.20026, section 4.3)."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    """Id or kind of an attack of the same scenario."""
    noise: float = Field(default=0.05, ge=0)
    """Standard deviation of Gaussian noise on the start of every restart but the first, in pixels of [0, 1]."""


Init = Literal["normal", "uniform", "grey"] | StartFrom
"""Standard normal or uniform noise in normalised space, mid-grey, or another attack's reconstructions."""
