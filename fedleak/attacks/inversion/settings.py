"""Blocks of settings that every optimisation-based attack has."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from fedleak.attacks.inversion.replay import LocalSteps, assumed_order, random_orders
from fedleak.component import Settings
from fedleak.local_sgd import PLAIN_SGD, LocalSgd


class LocalTrainingGuess(Settings):
    """How the client trains, as the attacker assumes without knowing."""

    learning_rate: Literal["estimated"] | Annotated[float, Field(gt=0)]
    """Or ``estimated`` from the last layer's bias and the labels."""
    epochs: int = Field(default=1, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    """All images at once unless given."""
    sgd: LocalSgd = PLAIN_SGD
    """Momentum, weight decay, schedule."""
    orders: int = Field(default=1, ge=1)
    """Random orders of the images over which the trial update is averaged, because the client's own is unknown; 1: the
    same consecutive mini-batches in every epoch."""

    @property
    def is_estimated(self) -> bool:
        """Whether the update itself has to tell the learning rate."""
        return self.learning_rate == "estimated"

    def count(self, samples: int) -> int:
        """How many local steps there are."""
        return self.epochs * -(-samples // (self.batch_size or samples))

    def steps(self, samples: int, learning_rate: float) -> LocalSteps:
        """The local steps on a batch of ``samples`` images."""
        size = self.batch_size or samples
        if self.orders == 1 or size >= samples:  # without mini-batches the order changes nothing
            order = assumed_order(samples, batch_size=size, epochs=self.epochs)
            return LocalSteps(learning_rate, order, sgd=self.sgd)
        drawn = random_orders(samples, batch_size=size, epochs=self.epochs, count=self.orders)
        return LocalSteps(learning_rate, drawn[0], drawn[1:], self.sgd)


SHORT: dict[str, Any] = {"estimated": {"learning_rate": "estimated", "orders": 4}, "best": None}


def _written_short(value: Any) -> Any:
    return SHORT.get(value, value) if isinstance(value, str) else value


LocalTraining = Annotated[
    LocalTrainingGuess | Literal["known", "worst"] | None,
    BeforeValidator(
        _written_short,
        json_schema_input_type=LocalTrainingGuess | Literal["best", "estimated", "known", "worst"] | None,
    ),
]
"""What the attacker knows of the client's local steps. The words are those of Du et al. 2024 (arXiv 2404.05403, section
4.1.2), worst and best for the client.

- ``worst``: every setting and the order of the images (needs ``training_details`` and ``mini_batch_order``);
- ``known``: every setting, but not the order (needs ``training_details``);
- ``estimated``: the learning rate from the update itself, averaged over four random orders;
- ``best`` or null: nothing; one full-batch step of unknown size is assumed;
- a mapping: settings that are assumed without being known.
"""


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
