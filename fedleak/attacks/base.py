"""Base classes of attacks: hyper-parameters, and methods whose annotations are the threat model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import StringConstraints

from fedleak.component import Component
from fedleak.errors import AttackFailedError
from fedleak.threat import Capability, InjectedPairs, Knowledge, UpdateVersion, required_capabilities

Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


@dataclass(frozen=True)
class Reconstruction:
    """Result of attacking one update.

    Attributes:
        images: ``(B, C, H, W)`` in [0, 1], in any order.
        labels: guessed labels ``(B,)`` in the same order, if the attack guesses them itself.
        curve: named series over the steps of an optimisation, such as the matching loss.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    curve: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Artefact:
    """Result of offline training, cached by content.

    Attributes:
        parameters: trained or solved tensors by name.
        parameter_count: how many numbers were trained or solved for.
        by_version: model version -> further tensors by name, for an attack that treats model versions apart.
        estimates: parameter of the leaked model -> the attack's estimates of it over the training, ``(steps, *shape)``;
            scoring compares them with the leaked model.
        curves: named series over the training, such as ``held_out``.
        facts: further JSON-compatible values, which ``restore`` may read.
        training_seconds: how long the training took; set by the caller.
    """

    parameters: Mapping[str, torch.Tensor]
    parameter_count: int
    by_version: Mapping[int, Mapping[str, torch.Tensor]] = field(default_factory=dict)
    estimates: Mapping[str, torch.Tensor] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    training_seconds: float = 0.0


class Attack(Component):
    """An attack on shared updates.

    A concrete attack defines ``reconstruct(self, <capabilities>, *, generator) -> Reconstruction``; it is called once
    for each victim's update. Parameters annotated with a class of ``fedleak.threat`` are its threat model. A parameter
    annotated ``<capability> | None`` is passed only if the settings ask for it (see ``wanted``), otherwise None.
    """

    stream: ClassVar[str | None] = None
    """Name of the kind's random streams; None: the kind. A renamed kind keeps its old name here, so that
    the same scenario and seed give the same results."""

    estimates_weights: ClassVar[bool] = False
    """Whether training estimates the leaked weights, so that scoring measures their ``weight_distance``."""

    tasks: ClassVar[frozenset[str] | None] = None
    """Kinds of learning task that the attack supports; None: all."""

    reads: ClassVar[str | None] = None
    """Kind of the crafting whose traces in an update the attack reads; None: it needs no malicious server."""

    id: Slug | None = None
    """Name in results; default: the kind."""
    version: Literal["current", "known"] = "current"
    """Model version assumed behind an update: that of its round, or the true one (needs ``update_version``)."""

    @property
    def name(self) -> str:
        """``id``, or the kind if no id is set."""
        return self.id or self.kind

    @property
    def training_stream(self) -> str:
        """Name of the random stream for training, the same for all entries of a kind."""
        return self.stream or self.kind

    @property
    def attack_stream(self) -> str:
        """Name of the random streams for attacking updates, specific to the entry if it has an id."""
        return self.id or self.training_stream

    @classmethod
    def entry_methods(cls) -> tuple[Callable[..., Any], ...]:
        """Methods that receive capabilities."""
        return (cls.reconstruct,)

    @classmethod
    def capabilities(cls) -> frozenset[type[Capability]]:
        """Capabilities that the attack needs with any settings."""
        return frozenset(c for m in cls.entry_methods() for c in required_capabilities(m).values())

    @property
    def starts_from(self) -> str | None:
        """Id or kind of the attack in the scenario whose reconstructions this attack starts from, or None."""
        return None

    @property
    def adapts(self) -> bool:
        """Whether the attack takes into account the clients' post-processing of updates."""
        return False

    @property
    def local_knowledge(self) -> str | None:
        """What the attack knows of the clients' local training; None if it makes no use of it."""
        return None

    def wanted(self) -> frozenset[type[Capability]]:
        """Capabilities needed with these settings, including the optional ones that the settings select."""
        versions: frozenset[type[Capability]] = frozenset({UpdateVersion} if self.version == "known" else ())
        return self.capabilities() | versions

    @abstractmethod
    def reconstruct(self, *args: Any, **kwargs: Any) -> Reconstruction:
        """Reconstruct the batch behind one update.

        Raises:
            AttackFailedError: if this update cannot be handled.
        """


K = TypeVar("K", bound=Knowledge)


class SideBySideAttack(Attack, Generic[K]):
    """An attack that can process several updates of the same model version and batch size in one call.

    ``reconstruct(self, known: K, *, generator)`` receives all capabilities in one bundle.
    """

    def victims_together(self, known: K) -> int:
        """How many updates like this one ``reconstruct_several`` accepts in one call.

        Raises:
            AttackFailedError: if this update cannot be handled.
        """
        return 1

    @abstractmethod
    def reconstruct_several(
        self, known: Sequence[K], *, generators: Sequence[torch.Generator]
    ) -> list[Reconstruction | AttackFailedError]:
        """Reconstruct the batches behind several updates.

        Args:
            known: the bundle that ``reconstruct`` would receive, one per update.
            generators: the generator that ``reconstruct`` would receive, one per update.
        """


T = TypeVar("T")


class TrainedAttack(Attack, Generic[T]):
    """An attack that is trained once offline and then applied to every update.

    ``fit(<capabilities>, *, generator, progress, device) -> Artefact`` trains; ``restore(artefact, <capabilities>, *,
    device) -> T`` loads the result; ``reconstruct(trained, <capabilities>, *, generator)`` applies it. Only
    ``reconstruct`` may ask for a victim's update.
    """

    trains_on_model: ClassVar[bool] = True
    """Whether training depends on the leaked model's architecture beyond the shape of its input."""

    def training_settings(self) -> dict[str, Any]:
        """The settings that the trained artefact depends on: by default all but those that are never about training."""
        return self.model_dump(mode="json", exclude={"id", "version"})

    @property
    def adapts(self) -> bool:
        """Whether the attack trains on injected pairs, whose updates have passed the clients' post-processing."""
        return InjectedPairs in self.wanted()

    @classmethod
    def entry_methods(cls) -> tuple[Callable[..., Any], ...]:
        """Methods that receive capabilities."""
        return (cls.fit, cls.restore, cls.reconstruct)

    @abstractmethod
    def fit(self, *args: Any, **kwargs: Any) -> Artefact:
        """Train on the data that the adversary has collected."""

    @abstractmethod
    def restore(self, *args: Any, **kwargs: Any) -> T:
        """Rebuild the trained object from ``artefact``."""
