"""Threat model: one frozen dataclass per capability of the adversary.

An attack requests capabilities by annotating the parameters of its methods. It receives only these objects, built from
detached copies read from the transcript. ``level`` follows the threat levels of "SoK: On Gradient Leakage in Federated
Learning"; ``None`` means that the capability is derived from others and cannot be granted.
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

from fedleak.client.local_sgd import PLAIN_SGD
from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.client.postprocess.base import PostProcess
from fedleak.examples import InputShape, Normalisation, to_unit
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.transcript.layout import Layout
from fedleak.transcript.rows import RowFile


class Capability:
    """Base class of all capabilities."""

    level: ClassVar[int | None] = None
    by_name: ClassVar[bool] = False
    """Not included in any level: must be granted by name before the federation runs, otherwise it is not recorded."""

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
    """Number of images behind the update; None if the client does not report it."""
    summed: tuple[int, ...] = ()
    """Clients whose updates were securely summed: ``tensors`` is their mean, weighted by images, as if one client
    held the batches of all. Empty if the update is from one client."""
    known_version: int | None = None
    """Version of the global model that the update was computed on; None if the attacker does not know it."""

    @property
    def model_version(self) -> int:
        """Version of the global model that the update was computed on if known, else the version of its round."""
        return self.round - 1 if self.known_version is None else self.known_version

    def flat(self) -> torch.Tensor:
        """All tensors concatenated, ``(D,)``."""
        return torch.cat([tensor.flatten() for tensor in self.tensors.values()])


@dataclass(frozen=True)
class ModelArchitecture(Capability):
    """The architecture of the leaked model, without weights."""

    level: ClassVar[int | None] = 0
    factory: Callable[[int], nn.Module]
    """Seed -> a new network. Attacks reuse prepared engines if factories are equal."""
    input_shape: InputShape
    classes: int
    """Classes of the data set."""
    task: LearningTask = CLASSIFICATION
    """Learning task of the network."""

    def build(self, *, seed: int) -> nn.Module:
        """A new network with random weights drawn from ``seed``, not the leaked ones."""
        return self.factory(seed)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return self.task.outputs(self.classes)


@dataclass(frozen=True)
class GlobalModel(Capability):
    """Parameters and buffers of the broadcast model: in the round of the update, or of its version if known."""

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
        """The normalisation as one object."""
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
    """How clients train: local learning rate, epochs, batch size, optimiser, schedule, proximal term."""

    level: ClassVar[int | None] = 3
    local_learning_rate: float
    local_epochs: int
    batch_size: int
    optimizer: AnyOptimizer = PLAIN_SGD
    proximal_mu: float = 0.0
    """Weight of FedProx's proximal term, which the server distributes."""


@dataclass(frozen=True)
class MiniBatchOrder(Capability):
    """Images used in each local step; an oracle, equivalent to the seed of the client's shuffling."""

    level: ClassVar[int | None] = 3
    by_name: ClassVar[bool] = True
    batches: tuple[tuple[int, ...], ...]
    """Positions of the images per step, with the images sorted by class like inferred labels."""


@dataclass(frozen=True)
class UpdateVersion(Capability):
    """Version of the global model that a late client computed its update on."""

    level: ClassVar[int | None] = 3
    version: int
    """Number of rounds aggregated into the model."""


@dataclass(frozen=True)
class PostProcessingDetails(Capability):
    """Post-processing that clients apply to their updates before sharing, with all settings."""

    level: ClassVar[int | None] = 3
    steps: tuple[PostProcess, ...]
    """In the order of application; empty if there is no post-processing."""


@dataclass(frozen=True)
class BatchStatistics(Capability):
    """Exact mean and variance of the victim's batch at every normalisation layer."""

    level: ClassVar[int | None] = 4
    by_name: ClassVar[bool] = True
    tensors: Mapping[str, torch.Tensor]
    """``LAYER.mean`` and ``LAYER.var`` of the layer's input, ``(C,)``, float32."""


@dataclass(frozen=True)
class TrueLabels(Capability):
    """The true labels, an oracle that many published tables assume; only for label_inference: oracle."""

    level: ClassVar[int | None] = 5
    by_name: ClassVar[bool] = True
    labels: torch.Tensor
    """int64 ``(B,)``, sorted, so the order in the batch is not revealed."""


@dataclass(frozen=True)
class InferredLabels(Capability):
    """Labels from the scenario's label inference; true labels only if it is the oracle."""

    labels: torch.Tensor
    """int64 ``(B,)``, sorted, repeats allowed."""
    method: str
    """Kind of the label inference."""


@dataclass(frozen=True)
class StartingImages(Capability):
    """Reconstructions of the same update by another attack of the scenario, used as a start; never the true images."""

    images: torch.Tensor
    """float32 ``(B, C, H, W)`` in [0, 1], in any order."""
    labels: torch.Tensor | None
    """int64 ``(B,)`` in the order of the images, if the other attack guessed labels itself."""
    attack: str
    """Name of the other attack."""


@dataclass(frozen=True)
class InjectedPairs(Capability):
    """Input-update pairs from the client whose channel the adversary controls."""

    level: ClassVar[int | None] = 5
    images: torch.Tensor
    """Public images, uint8 ``(N, C, H, W)``."""
    index: NDArray[np.int64]
    """Indices of the images of each pair, ``(P, B)``."""
    updates: RowFile
    """The client's updates, ``(P, D)``, on disk."""
    layout: Layout
    protocol: Literal["fedsgd", "fedavg"]
    digest: str
    """Content hash of images, index and updates; part of the key of a cached generator."""
    model_versions: tuple[int, ...] = (0,)
    """Versions of the global model; the pairs are divided equally among them, in order."""

    def __len__(self) -> int:
        return len(self.index)

    def versions(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Model version of each of the pairs ``(n,)``."""
        shares = len(self.model_versions)
        ends = [len(self) * (share + 1) // shares for share in range(shares)]
        return np.asarray(self.model_versions)[np.searchsorted(ends, pairs, side="right")]

    def read_images(self, pairs: NDArray[np.int64]) -> torch.Tensor:
        """Images of the pairs ``(n,)``: float32 ``(n, B, C, H, W)`` in [0, 1]."""
        return to_unit(self.images[torch.from_numpy(self.index[pairs])])

    def read_updates(self, pairs: NDArray[np.int64]) -> torch.Tensor:
        """Updates of the pairs ``(n,)``: float32 ``(n, D)``."""
        return torch.from_numpy(self.updates.read(pairs).astype(np.float32))


@dataclass(frozen=True)
class ModelTampering(Capability):
    """The server sends clients other models than the global one, and knows how it crafted them."""

    level: ClassVar[int | None] = 5
    kind: str
    """Kind of the crafting."""
    settings: Mapping[str, Any]
    """All settings of the crafting."""
    sent: Mapping[int, Mapping[str, torch.Tensor]]
    """Client -> the parameters and buffers that it was sent, for the clients behind the update."""


CAPABILITIES: dict[str, type[Capability]] = {cls.capability_name(): cls for cls in Capability.__subclasses__()}


GRANTABLE = tuple(sorted(name for name, cls in CAPABILITIES.items() if cls.level is not None))
"""Names that a scenario may grant."""


def granted_by_level(level: int) -> frozenset[str]:
    """Names of all capabilities up to a threat level of the SoK (0 to 5), except those granted only by name."""
    return frozenset(n for n, c in CAPABILITIES.items() if c.level is not None and c.level <= level and not c.by_name)


class Knowledge:
    """Base class of bundles: frozen dataclasses that pass several capabilities as one parameter of an attack.

    A field annotated ``<capability> | None`` with default None is set only if the settings of the attack request it.
    """


def required_capabilities(method: Callable[..., Any]) -> dict[str, type[Capability]]:
    """Required capabilities by name, from the annotations of ``method`` and the fields of its bundles."""
    return {
        name: hint for name, hint in _hints(method).items() if isinstance(hint, type) and issubclass(hint, Capability)
    }


def optional_capabilities(method: Callable[..., Any]) -> dict[str, type[Capability]]:
    """Optional capabilities by name: those annotated ``Capability | None``, which only some settings request."""
    found = {}
    for name, hint in _hints(method).items():
        given = [item for item in get_args(hint) if item is not NoneType]
        if len(given) != 1 or len(get_args(hint)) != 2:
            continue
        if isinstance(given[0], type) and issubclass(given[0], Capability):
            found[name] = given[0]
    return found


def bundles(method: Callable[..., Any]) -> dict[str, type[Knowledge]]:
    """Bundles among the parameters of ``method``, by parameter name."""
    return {
        name: hint
        for name, hint in get_type_hints(method).items()
        if name != "return" and isinstance(hint, type) and issubclass(hint, Knowledge)
    }


def arguments(method: Callable[..., Any], known: Mapping[str, Capability]) -> dict[str, Any]:
    """Arguments of ``method``: capabilities by name, with those of a bundle packed into it.

    Args:
        known: name -> capability, for all required and any optional capabilities.
    """
    rest, given = dict(known), dict[str, Any]()
    for name, bundle in bundles(method).items():
        own = [field for field in _field_names(bundle) if field in rest]
        given[name] = bundle(**{field: rest.pop(field) for field in own})
    return given | rest


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters, with bundles replaced by the annotations of their fields."""
    hints = {name: hint for name, hint in get_type_hints(method).items() if name != "return"}
    for name, bundle in bundles(method).items():
        del hints[name]
        own = get_type_hints(bundle)
        hints |= {field: own[field] for field in _field_names(bundle)}
    return hints


def _field_names(bundle: type[Knowledge]) -> list[str]:
    return [field.name for field in fields(bundle)] if is_dataclass(bundle) else []
