"""What an adversary may know: one frozen dataclass per capability.

An attack asks for capabilities by annotating the parameters of its methods and receives those objects, made
of detached copies read from the transcript, and nothing else. ``level`` follows the threat levels of "SoK: On
Gradient Leakage in Federated Learning"; ``None`` means it is derived from other capabilities, not granted.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, ClassVar, Literal, get_args, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.postprocess.base import PostProcess
from fedleak.examples import InputShape, Normalisation, to_unit
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.transcript.layout import Layout
from fedleak.transcript.rows import RowFile


class Capability:
    """Base of all capabilities."""

    level: ClassVar[int | None] = None
    by_name: ClassVar[bool] = False
    """No level brings it along: it must be granted by name, before the federation runs, to be recorded at all."""

    @classmethod
    def capability_name(cls) -> str:
        """Name in YAML: the class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n", maxsplit=1)[0]


@dataclass(frozen=True)
class SharedUpdate(Capability):
    """The tensors that one client sent in one round."""

    level: ClassVar[int | None] = 0
    tensors: Mapping[str, torch.Tensor]
    """Parameter name -> gradient or weight delta, float32, as shared (after post-processing)."""
    protocol: Literal["fedsgd", "fedavg"]
    """``fedsgd``: gradients of the mean loss; ``fedavg``: new weights minus old ones."""
    round: int
    client: int
    samples: int | None
    """Images that went into it, where the client says so."""
    summed: tuple[int, ...] = ()
    """Clients whose updates were securely summed: ``tensors`` is their mean, weighted by images, as if one client
    held the batches of all. None where it is one client's own."""
    known_version: int | None = None
    """Version of the global model that it was computed on, where the attacker knows it."""

    @property
    def model_version(self) -> int:
        """Version of the global model that it was computed on as far as is known, else that of its round."""
        return self.round - 1 if self.known_version is None else self.known_version

    def flat(self) -> torch.Tensor:
        """All tensors laid end to end, ``(D,)``."""
        return torch.cat([tensor.flatten() for tensor in self.tensors.values()])


@dataclass(frozen=True)
class ModelArchitecture(Capability):
    """The architecture of the leaked model, without weights."""

    level: ClassVar[int | None] = 0
    factory: Callable[[int], nn.Module]
    """Seed -> a new network. Attacks reuse what they have made ready for a network where factories are equal."""
    input_shape: InputShape
    classes: int
    """Classes of the data set."""
    task: LearningTask = CLASSIFICATION
    """What the network is trained for."""

    def build(self, *, seed: int) -> nn.Module:
        """A fresh network with random weights of the attacker's own."""
        return self.factory(seed)

    @property
    def outputs(self) -> int:
        """Outputs of the network."""
        return self.task.outputs(self.classes)


@dataclass(frozen=True)
class GlobalModel(Capability):
    """Parameters and buffers that the server broadcast in the round of the update; of its own version where known."""

    level: ClassVar[int | None] = 0
    state: Mapping[str, torch.Tensor]
    version: int


@dataclass(frozen=True)
class PixelPrior(Capability):
    """Bounds and normalisation of the images, constants of the data set."""

    level: ClassVar[int | None] = 1
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: float = 0.0
    high: float = 1.0

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation alone."""
        return Normalisation(self.mean, self.std)


@dataclass(frozen=True)
class PublicData(Capability):
    """The adversary's own images and their labels."""

    level: ClassVar[int | None] = 2
    images: torch.Tensor
    """uint8 ``(N, C, H, W)``."""
    labels: torch.Tensor
    """int64 ``(N,)``."""


@dataclass(frozen=True)
class TrainingDetails(Capability):
    """How clients train: local learning rate, epochs, batch size, momentum, weight decay, schedule."""

    level: ClassVar[int | None] = 3
    local_learning_rate: float
    local_epochs: int
    batch_size: int
    sgd: LocalSgd = PLAIN_SGD


@dataclass(frozen=True)
class MiniBatchOrder(Capability):
    """Which images each local step takes, an oracle: the seed of the client's shuffling."""

    level: ClassVar[int | None] = 3
    by_name: ClassVar[bool] = True
    batches: tuple[tuple[int, ...], ...]
    """Positions of images that are sorted by class, as inferred labels are."""


@dataclass(frozen=True)
class UpdateVersion(Capability):
    """Which of the global models a late client computed its update on."""

    level: ClassVar[int | None] = 3
    version: int
    """Rounds that had been aggregated into it."""


@dataclass(frozen=True)
class PostProcessingDetails(Capability):
    """What clients do to their updates before they share them, with every setting."""

    level: ClassVar[int | None] = 3
    steps: tuple[PostProcess, ...]
    """In the order in which they are applied; empty if updates are shared as they are."""


@dataclass(frozen=True)
class BatchStatistics(Capability):
    """Exact mean and variance of the victim's batch at every normalisation layer."""

    level: ClassVar[int | None] = 4
    by_name: ClassVar[bool] = True
    tensors: Mapping[str, torch.Tensor]
    """``LAYER.mean`` and ``LAYER.var`` of the layer's input, ``(C,)``, float32."""


@dataclass(frozen=True)
class TrueLabels(Capability):
    """The true labels, an oracle that tables of the literature assume; only for label_inference: oracle."""

    level: ClassVar[int | None] = 5
    by_name: ClassVar[bool] = True
    labels: torch.Tensor
    """int64 ``(B,)``, sorted: the order in the batch is not told."""


@dataclass(frozen=True)
class InferredLabels(Capability):
    """Labels from the scenario's label inference; the true ones only from its oracle."""

    labels: torch.Tensor
    """int64 ``(B,)``, sorted, repeats allowed."""
    method: str
    """Kind of the label inference."""


@dataclass(frozen=True)
class StartingImages(Capability):
    """What another attack of the scenario made of the same update: where a search starts; never the true images."""

    images: torch.Tensor
    """float32 ``(B, C, H, W)`` in [0, 1], in any order."""
    labels: torch.Tensor | None
    """int64 ``(B,)`` in the order of the images, where the other attack guessed them itself."""
    attack: str
    """Name of the other attack."""


@dataclass(frozen=True)
class InjectedPairs(Capability):
    """Input-update pairs from the one client whose channel the adversary controls."""

    level: ClassVar[int | None] = 5
    images: torch.Tensor
    """Public images, uint8 ``(N, C, H, W)``."""
    index: NDArray[np.int64]
    """Which of them went into each pair, ``(P, B)``."""
    updates: RowFile
    """What the client answered, ``(P, D)``, on disk."""
    layout: Layout
    protocol: Literal["fedsgd", "fedavg"]
    digest: str
    """Content hash of images, index and updates; names a cached generator."""
    model_versions: tuple[int, ...] = (0,)
    """Version of the global model behind each equal share of the pairs, in order."""

    def __len__(self) -> int:
        return len(self.index)

    def versions(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Model version behind each of the pairs ``(n,)``."""
        shares = len(self.model_versions)
        ends = [len(self) * (share + 1) // shares for share in range(shares)]
        return np.asarray(self.model_versions)[np.searchsorted(ends, pairs, side="right")]

    def read_images(self, pairs: NDArray[np.int64]) -> torch.Tensor:
        """Images of the pairs ``(n,)``: float32 ``(n, B, C, H, W)`` in [0, 1]."""
        return to_unit(self.images[torch.from_numpy(self.index[pairs])])

    def read_updates(self, pairs: NDArray[np.int64]) -> torch.Tensor:
        """Updates of the pairs ``(n,)``: float32 ``(n, D)``."""
        return torch.from_numpy(self.updates.read(pairs).astype(np.float32))


CAPABILITIES: dict[str, type[Capability]] = {cls.capability_name(): cls for cls in Capability.__subclasses__()}


GRANTABLE = tuple(sorted(name for name, cls in CAPABILITIES.items() if cls.level is not None))
"""Names that a scenario may grant."""


def granted_by_level(level: int) -> frozenset[str]:
    """Names of all capabilities up to a threat level of the SoK (0 to 5), without those granted only by name."""
    return frozenset(n for n, c in CAPABILITIES.items() if c.level is not None and c.level <= level and not c.by_name)


class Knowledge:
    """Base of frozen dataclasses that bundle capabilities: one parameter of an attack that stands for all its fields.

    A field annotated ``<capability> | None``, with None for a default, is given only where the settings of the attack
    ask for it.
    """


def required_capabilities(method: Callable[..., Any]) -> dict[str, type[Capability]]:
    """Name -> capability, read off the annotations of ``method`` and the fields of its bundles."""
    return {
        name: hint for name, hint in _hints(method).items() if isinstance(hint, type) and issubclass(hint, Capability)
    }


def optional_capabilities(method: Callable[..., Any]) -> dict[str, type[Capability]]:
    """Name -> capability, of what is annotated ``Capability | None``: asked for by some settings only."""
    found = {}
    for name, hint in _hints(method).items():
        given = [item for item in get_args(hint) if item is not NoneType]
        if len(given) != 1 or len(get_args(hint)) != 2:
            continue
        if isinstance(given[0], type) and issubclass(given[0], Capability):
            found[name] = given[0]
    return found


def bundles(method: Callable[..., Any]) -> dict[str, type[Knowledge]]:
    """Parameter name -> bundle, of the parameters of ``method`` that stand for several capabilities."""
    return {
        name: hint
        for name, hint in get_type_hints(method).items()
        if name != "return" and isinstance(hint, type) and issubclass(hint, Knowledge)
    }


def arguments(method: Callable[..., Any], known: Mapping[str, Capability]) -> dict[str, Any]:
    """Arguments of ``method``: capabilities by name, those that belong to a bundle inside it.

    Args:
        known: name -> capability, of all that are required and any that are optional.
    """
    rest, given = dict(known), dict[str, Any]()
    for name, bundle in bundles(method).items():
        own = [field for field in _field_names(bundle) if field in rest]
        given[name] = bundle(**{field: rest.pop(field) for field in own})
    return given | rest


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters, those of bundles replaced by their fields'."""
    hints = {name: hint for name, hint in get_type_hints(method).items() if name != "return"}
    for name, bundle in bundles(method).items():
        del hints[name]
        own = get_type_hints(bundle)
        hints |= {field: own[field] for field in _field_names(bundle)}
    return hints


def _field_names(bundle: type[Knowledge]) -> list[str]:
    return [field.name for field in fields(bundle)] if is_dataclass(bundle) else []
