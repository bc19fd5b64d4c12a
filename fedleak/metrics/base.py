"""Base classes of image metrics, and the scenario block that selects metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import InitErrorDetails

from fedleak.component import Component, Settings, further_kind
from fedleak.data.sources.base import Dataset
from fedleak.examples import ExampleKind, InputShape

PACKAGE = "fedleak.metrics"


class MetricUnavailableError(Exception):
    """The metric cannot be computed on this machine; its values are absent."""


@dataclass(frozen=True, eq=False)
class Peers:
    """Candidate images that a reconstruction is compared with: ``(M, C, H, W)`` in [0, 1], and labels ``(M,)``."""

    images: torch.Tensor
    labels: torch.Tensor


class Metric(Component):
    """Base class of metrics: a pure function of reconstructions and originals; the kind is the name of the column."""

    higher_is_better: ClassVar[bool]
    is_default: ClassVar[bool] = True
    """Whether the metric is computed by default; otherwise only if the scenario names it."""
    compares: ClassVar[Literal["values", "images"]] = "images"
    """What it needs of examples: values of any shape, or height and width."""

    @abstractmethod
    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Both ``(N, C, H, W)`` in [0, 1], already matched -> ``(N,)``.

        Raises:
            MetricUnavailableError: if something that it needs, such as weights, is not available.
        """

    @classmethod
    def applies_to(cls, kind: ExampleKind) -> bool:
        """Whether examples of this kind can be compared."""
        return cls.compares in kind.metrics

    def objection(self, private: Dataset) -> str:
        """Reason why the metric does not apply to the clients' data set; empty if it does."""
        if self.applies_to(private.examples):
            return ""
        return f"it compares images; the data set {private.kind} holds {private.examples.name}"

    def note(self, shape: InputShape) -> str:
        """Remark for the report on how the metric was computed for examples of this shape; empty if there is none."""
        return ""


class PeerMetric(Metric):
    """Base class of metrics that also compare with other images."""

    @abstractmethod
    def evaluate_among(self, reconstruction: torch.Tensor, truth: torch.Tensor, peers: Peers) -> torch.Tensor:
        """As ``evaluate``, with ``peers``, which may include the originals."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``evaluate_among`` with the originals of the batch as the only peers."""
        return self.evaluate_among(reconstruction, truth, Peers(truth, torch.zeros(len(truth), dtype=torch.int64)))


class MetricSettings(Settings):
    """The scenario's ``metrics`` block: one optional mapping per kind, ``null`` to turn a metric off.

    Most are on by default; the others (``iip``, ``leaked``, ``leaked_ssim``, ``readout``) are computed only if named.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})

    @model_validator(mode="before")
    @classmethod
    def _finds_further_kinds(cls, given: Any) -> Any:
        """Build metrics of the session and of other packages, which have no field; refuse unknown names."""
        names = [name for name in given if name not in cls.model_fields] if isinstance(given, dict) else []
        found: dict[str, Any] = {}
        for name in names:
            kind = further_kind(Metric, PACKAGE, str(name))  # type: ignore[type-abstract]
            if kind is None:
                wrong = InitErrorDetails(type="extra_forbidden", loc=(str(name),), input=given[name])
                raise ValidationError.from_exception_data("Metrics", [wrong])
            value = given[name]
            found[name] = None if value is None else kind.model_validate(value)
        return given | found if found else given

    def enabled(self) -> tuple[Metric, ...]:
        """The enabled metrics."""
        values = (getattr(self, name) for name in (*type(self).model_fields, *(self.model_extra or {})))
        return tuple(value for value in values if isinstance(value, Metric))

    @classmethod
    def leaves_trace(cls, name: str, value: object) -> bool:
        """Whether a kind's setting belongs in a fingerprint: not if the kind is off by default and not named.

        So adding such a kind changes no fingerprint, and finished work is not repeated.
        """
        return value is not None or (name in cls.model_fields and cls.model_fields[name].default is not None)


def _field(kind: type[Component]) -> Any:
    is_default = issubclass(kind, Metric) and kind.is_default
    described = f"{kind.summary()} {'On by default; null: off' if is_default else 'Off by default'}."
    return Field(default=kind() if is_default else None, description=described)


def metric_settings(kinds: Mapping[str, type[Component]]) -> type[MetricSettings]:
    """The settings class with one field for each kind."""
    fields: dict[str, Any] = {name: (cls | None, _field(cls)) for name, cls in kinds.items()}
    return create_model("Metrics", __base__=MetricSettings, __doc__=MetricSettings.__doc__, **fields)
