"""What every attack is: hyper-parameters, and methods whose annotations are its threat model."""

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
    """What an attack made of one update.

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
    """What offline training leaves behind. Cached by content.

    Attributes:
        parameters: what was trained or solved for, by name.
        parameter_count: how many numbers were trained or solved for.
        by_version: model version -> further tensors by name, for an attack that treats model versions apart.
        estimates: parameter of the leaked model -> the attack's estimates of it over the training, ``(steps, *shape)``;
            scoring compares them with the leaked model.
        curves: named series over the training, such as ``held_out``.
        facts: further values that fit into JSON; what ``restore`` reads of them is up to the attack.
        training_seconds: how long the training took; set by whoever times it.
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
    for each victim's update. Parameters annotated with a class of ``fedleak.threat`` are its threat model; one that is
    annotated ``<capability> | None`` is given only where ``wanted`` says that the settings ask for it.
    """

    stream: ClassVar[str | None] = None
    """Name of the kind's random streams; the kind unless given. A kind that was renamed keeps its old one here, so that
    the same scenario and seed give the same results."""

    tasks: ClassVar[frozenset[str] | None] = None
    """Kinds of learning task for which the attack is made; all unless given."""

    id: Slug | None = None
    """Name in results; the kind unless given."""
    version: Literal["current", "known"] = "current"
    """The model that updates are taken to be computed on: that of their round, or the one they really were."""

    @property
    def name(self) -> str:
        """``id``, or the kind where the scenario gives none."""
        return self.id or self.kind

    @property
    def training_stream(self) -> str:
        """Name of the random stream of the training, the same for all entries of a kind."""
        return self.stream or self.kind

    @property
    def attack_stream(self) -> str:
        """Name of the random streams in which updates are attacked, an entry's own."""
        return self.id or self.training_stream

    @classmethod
    def entry_methods(cls) -> tuple[Callable[..., Any], ...]:
        """Methods that receive capabilities."""
        return (cls.reconstruct,)

    @classmethod
    def capabilities(cls) -> frozenset[type[Capability]]:
        """Everything the attack asks for whatever its settings."""
        return frozenset(c for m in cls.entry_methods() for c in required_capabilities(m).values())

    @property
    def starts_from(self) -> str | None:
        """Id or kind of the scenario's attack whose reconstructions this one starts from."""
        return None

    @property
    def adapts(self) -> bool:
        """Whether the attack takes into account what clients do to their updates before sharing them."""
        return False

    @property
    def local_knowledge(self) -> str | None:
        """What the attack knows of local training, where that matters to it."""
        return None

    def wanted(self) -> frozenset[type[Capability]]:
        """What the attack asks for with these settings; of the optional capabilities only those that they choose."""
        versions: frozenset[type[Capability]] = frozenset({UpdateVersion} if self.version == "known" else ())
        return self.capabilities() | versions

    @abstractmethod
    def reconstruct(self, *args: Any, **kwargs: Any) -> Reconstruction:
        """Rebuild the batch behind one update.

        Raises:
            AttackFailedError: if this update cannot be handled.
        """


K = TypeVar("K", bound=Knowledge)


class SideBySideAttack(Attack, Generic[K]):
    """An attack that takes several updates of one model version and batch size at once.

    ``reconstruct(self, known: K, *, generator)`` has all its capabilities in one bundle.
    """

    def victims_together(self, known: K) -> int:
        """How many updates like this one ``reconstruct_several`` takes in one call.

        Raises:
            AttackFailedError: if this update cannot be handled.
        """
        return 1

    @abstractmethod
    def reconstruct_several(
        self, known: Sequence[K], *, generators: Sequence[torch.Generator]
    ) -> list[Reconstruction | AttackFailedError]:
        """Rebuild the batches behind several updates.

        Args:
            known: what ``reconstruct`` would get for each of them.
            generators: as ``reconstruct`` would get them.
        """


T = TypeVar("T")


class TrainedAttack(Attack, Generic[T]):
    """An attack that is trained once offline and then applied to every update.

    ``fit(<capabilities>, *, generator, progress, device) -> Artefact`` trains; ``restore(artefact, <capabilities>, *,
    device) -> T`` makes it usable; ``reconstruct(trained, <capabilities>, *, generator)`` applies it. Only
    ``reconstruct`` may ask for a victim's update.
    """

    @property
    def adapts(self) -> bool:
        """Injected pairs have gone through the clients' post-processing themselves."""
        return InjectedPairs in self.wanted()

    @classmethod
    def entry_methods(cls) -> tuple[Callable[..., Any], ...]:
        """Methods that receive capabilities."""
        return (cls.fit, cls.restore, cls.reconstruct)

    @abstractmethod
    def fit(self, *args: Any, **kwargs: Any) -> Artefact:
        """Train on what the adversary has gathered."""

    @abstractmethod
    def restore(self, *args: Any, **kwargs: Any) -> T:
        """Rebuild the trained object from ``artefact``."""
