"""Groups of settings shared by all optimisation-based attacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, model_validator

from fedleak import limits
from fedleak.attacks.replay import LocalSteps, Order, assumed_order, random_orders
from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.optimizer.base import AnyOptimizer, LocalOptimizer
from fedleak.component import Settings, choice

if TYPE_CHECKING:
    OptimizerChoice = LocalOptimizer
else:
    OptimizerChoice = choice(LocalOptimizer, "fedleak.client.optimizer")

T = TypeVar("T")
OneOf = Annotated[tuple[T, ...], Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, le=limits.RATE)]
Epochs = Annotated[int, Field(ge=1, le=limits.EPOCHS)]
Count = Annotated[int, Field(ge=1, le=limits.IMAGES)]


class LocalTrainingGuess(Settings):
    """Local training as the attacker assumes it.

    A setting may be a list of values: the trial update is averaged over all combinations.
    """

    learning_rate: Literal["estimated"] | Rate | OneOf[Rate]
    """Learning rate, or ``estimated`` from the last layer and the labels."""
    epochs: Epochs | OneOf[Epochs] = 1
    """Passes over the client's images."""
    batch_size: Count | OneOf[Count | None] | None = None
    """Images per step; null: all images."""
    sgd: LocalSgd = PLAIN_SGD
    """Momentum, weight decay, schedule."""
    optimizer: OptimizerChoice | None = Field(default=None, exclude_if=lambda value: value is None)
    """A local optimiser other than SGD (default: SGD)."""
    proximal_mu: float = Field(default=0.0, ge=0, le=limits.RATE, exclude_if=lambda value: value == 0)
    """Weight of FedProx's proximal term."""
    orders: int = Field(default=1, ge=1, le=limits.RESTARTS)
    """Number of random image orders over which the trial update is averaged, because the client's order is unknown; 1:
    the same consecutive mini-batches in every epoch."""

    @model_validator(mode="after")
    def _has_one_optimizer(self) -> Self:
        if self.optimizer is not None and self.sgd != PLAIN_SGD:
            raise ValueError("choose either sgd or optimizer")
        if self.optimizer is not None and self.is_estimated:
            raise ValueError(
                f"learning_rate estimated takes a delta for a multiple of a gradient, which it is not after steps of "
                f"{self.optimizer.kind}: give the rate"
            )
        return self

    @property
    def rule(self) -> AnyOptimizer:
        """The assumed local optimiser."""
        return self.optimizer or self.sgd

    @property
    def is_estimated(self) -> bool:
        """Whether the learning rate is estimated from the update."""
        return self.learning_rate == "estimated"

    def assumptions(self, samples: int) -> tuple[Assumption, ...]:
        """Every combination of settings for a client of ``samples`` images."""
        open_settings = (_values(self.learning_rate), _values(self.epochs), _values(self.batch_size))
        return tuple(
            Assumption(rate, epochs, min(size or samples, samples), self.rule)
            for rate, epochs, size in product(*open_settings)
        )

    def steps(self, samples: int, distance: float) -> LocalSteps:
        """The local steps on a batch of ``samples`` images, with all alternatives.

        Args:
            distance: learning rate times number of steps, estimated from the update; used only if ``is_estimated``.
        """
        every = [
            LocalSteps(assumed.rate(samples, distance), order, self.rule, proximal_mu=self.proximal_mu)
            for assumed in self.assumptions(samples)
            for order in assumed.orders(samples, self.orders)
        ]
        return replace(every[0], alternatives=tuple(every[1:]))


@dataclass(frozen=True)
class Assumption:
    """One assumed combination of local training settings.

    Attributes:
        learning_rate: None: estimated from the update.
        epochs: over all images.
        batch_size: largest number of images per step.
        optimizer: local optimiser.
    """

    learning_rate: float | None
    epochs: int
    batch_size: int
    optimizer: AnyOptimizer

    def reach(self, samples: int) -> float:
        """Effective number of local steps, corrected for momentum and schedule."""
        return self.optimizer.reach(self.epochs * -(-samples // self.batch_size))

    def rate(self, samples: int, distance: float) -> float:
        """The learning rate: as assumed, or ``distance`` divided by the effective number of steps."""
        return distance / self.reach(samples) if self.learning_rate is None else self.learning_rate

    def orders(self, samples: int, count: int) -> tuple[Order, ...]:
        """One fixed order of the images, or ``count`` random orders; one is enough for full-batch steps."""
        if count == 1 or self.batch_size >= samples:
            return (assumed_order(samples, batch_size=self.batch_size, epochs=self.epochs),)
        return random_orders(samples, batch_size=self.batch_size, epochs=self.epochs, count=count)


def _values(setting: Any) -> tuple[Any, ...]:
    """The possible values of a setting; None if it is estimated from the update."""
    if isinstance(setting, tuple):
        return setting
    return (None,) if setting == "estimated" else (setting,)


SHORT: dict[str, Any] = {"estimated": {"learning_rate": "estimated"}, "unknown": None}


def _written_short(value: Any) -> Any:
    return SHORT.get(value, value) if isinstance(value, str) else value


LocalTraining = Annotated[
    LocalTrainingGuess | Literal["known", "known_with_order"] | None,
    BeforeValidator(
        _written_short,
        json_schema_input_type=LocalTrainingGuess | Literal["unknown", "estimated", "known", "known_with_order"] | None,
    ),
]
"""What the attacker knows of the client's local steps.

- ``known_with_order``: every setting and the order of the images (needs ``training_details`` and ``mini_batch_order``);
  the client's worst case in Du et al. 2024 (arXiv 2404.05403, section 4.1.2);
- ``known``: every setting, but not the order (needs ``training_details``);
- ``estimated``: one full-batch step whose length is estimated from the update;
- ``unknown`` or null: nothing; one full-batch step of unknown length is assumed; the client's best case in Du et al.;
- a mapping: assumed settings.
"""


class Group(Settings):
    """Group consensus of the restarts (GradInversion, arXiv 2104.07586, section 3.3)."""

    consensus: Literal["lazy", "registered"] = "lazy"
    """The pixel mean, or the mean after registering every candidate to it by shifts."""
    start: int = Field(default=5000, ge=0, le=limits.ITERATIONS)
    """Iteration from which candidates are registered."""
    refresh: int = Field(default=100, ge=1, le=limits.ITERATIONS)
    """Iterations between two registrations."""
    largest_shift: int = Field(default=2, ge=1, le=limits.PIXELS)
    """Largest shift of a registration along each axis, in pixels."""


class StartFrom(Settings):
    """Start from another attack's reconstructions, as GIT+IG does (Chen & Liu 2025, arXiv 2505.20026, section 4.3)."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    """Id or kind of an attack of the same scenario."""
    noise: float = Field(default=0.05, ge=0, le=limits.RATE)
    """Standard deviation of Gaussian noise on the start of every restart except the first, for pixels in [0, 1]."""


Init = Literal["normal", "uniform", "grey"] | StartFrom
"""Standard normal or uniform noise in normalised space, mid-grey, or another attack's reconstructions."""
