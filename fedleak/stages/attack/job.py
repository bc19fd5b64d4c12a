"""All that the attack stage is told of a scenario: its attacks and what they may know; no data, seed or path."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Self, TypeVar

from fedleak.attacks.base import Attack
from fedleak.attacks.labels.base import LabelInference
from fedleak.component import Component
from fedleak.scenario.schema import Scenario
from fedleak.stages.source import code_of
from fedleak.transcript.manifest import digest_of

C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class AttackJob:
    """The work of the attack stage on one transcript.

    Attributes:
        attacks: the attacks, in the order of the scenario.
        granted: names of the granted capabilities.
        label_inference: the label inference, if any.
        device: name of the device.
        threads: CPU threads; None: as many as torch uses.
        code: name of an attack -> hash of its code, and of the components that it is made of and attacks.
        model_code: hash of the code of the network.
        lost: name of an attack whose process died -> the reason; its remaining updates fail.
    """

    attacks: tuple[Attack, ...]
    granted: frozenset[str]
    label_inference: LabelInference | None
    device: str
    threads: int | None
    code: Mapping[str, str]
    model_code: str
    lost: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """The part of a scenario that is about attacking."""
        adversary, labels = scenario.adversary, scenario.adversary.label_inference
        model, inference = scenario.served_model, [labels] if labels is not None else []
        shared = [model, scenario.task, scenario.federation.client, *inference]
        return cls(
            attacks=scenario.attacks,
            granted=adversary.granted,
            label_inference=labels,
            device=scenario.device,
            threads=scenario.threads,
            code={attack.name: digest_of(code_of([attack, *shared])) for attack in scenario.attacks},
            model_code=digest_of(code_of([model])),
        )

    def without(self, attack: str, reason: str) -> Self:
        """The same, with one more lost attack."""
        return replace(self, lost={**self.lost, attack: reason})

    def message(self) -> dict[str, Any]:
        """The job as a JSON object."""
        labels = self.label_inference
        return {
            "attacks": [_written(attack) for attack in self.attacks],
            "granted": sorted(self.granted),
            "label_inference": _written(labels) if labels is not None else None,
            "device": self.device,
            "threads": self.threads,
            "code": dict(self.code),
            "model_code": self.model_code,
            "lost": dict(self.lost),
        }

    @classmethod
    def from_message(cls, raw: Mapping[str, Any]) -> Self:
        """The job in a JSON object; the modules of its attacks are imported."""
        labels = raw["label_inference"]
        return cls(
            attacks=tuple(_read(item, Attack) for item in raw["attacks"]),  # type: ignore[type-abstract]
            granted=frozenset(raw["granted"]),
            label_inference=_read(labels, LabelInference) if labels is not None else None,  # type: ignore[type-abstract]
            device=raw["device"],
            threads=raw["threads"],
            code=raw["code"],
            model_code=raw["model_code"],
            lost=raw["lost"],
        )


def _written(component: Component) -> dict[str, Any]:
    cls = type(component)
    return {"module": cls.__module__, "name": cls.__qualname__, "settings": component.model_dump(mode="json")}


def _read(raw: Mapping[str, Any], base: type[C]) -> C:
    found: Any = reduce(getattr, raw["name"].split("."), importlib.import_module(raw["module"]))
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"{raw['module']}.{raw['name']}: expected a {base.__name__}")
    return found.model_validate(raw["settings"])
