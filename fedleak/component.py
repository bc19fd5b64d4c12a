"""Components: the exchangeable parts of a scenario, discovered by package.

A family (attacks, models, datasets ...) is a package. Every module in it is imported, and every concrete subclass of
the family's base class is a *kind*; there is no list to edit. In YAML a component is a mapping with a ``kind``, or
just the name of the kind to use its defaults.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Settings(BaseModel):
    """A frozen block of YAML settings; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Component(Settings):
    """Base class of a part chosen by ``kind``; its fields are its hyper-parameters.

    A concrete component narrows ``kind`` to a literal with a default: ``kind: Literal["lti"] = "lti"``.
    """

    kind: str = ""

    @classmethod
    def kind_name(cls) -> str:
        """The kind as written in YAML; empty for abstract bases."""
        default = cls.model_fields["kind"].default
        return default if isinstance(default, str) else ""

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n", maxsplit=1)[0]


C = TypeVar("C", bound=Component)


def _subclasses(base: type[C]) -> Iterator[type[C]]:
    for child in base.__subclasses__():
        yield child
        yield from _subclasses(child)


def discover(base: type[C], package: str) -> dict[str, type[C]]:
    """Import every module below ``package``; return its concrete components by kind, sorted.

    Raises:
        TypeError: if two components claim one kind.
    """
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, prefix=f"{package}."):
        importlib.import_module(module.name)
    kinds: dict[str, type[C]] = {}
    for cls in _subclasses(base):
        kind = cls.kind_name()
        if not kind or inspect.isabstract(cls) or not f"{cls.__module__}.".startswith(f"{package}."):
            continue
        if kinds.setdefault(kind, cls) is not cls:
            raise TypeError(f"kind {kind!r} of {package} is claimed by {kinds[kind]} and {cls}")
    return dict(sorted(kinds.items()))


def _expand_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def choice(base: type[Component], package: str) -> Any:
    """Type annotation of a scenario field that holds one component of the family."""
    kinds = list(discover(base, package).values())
    union = kinds[0] if len(kinds) == 1 else Annotated[reduce(or_, kinds), Field(discriminator="kind")]
    return Annotated[union, BeforeValidator(_expand_name, json_schema_input_type=str | union)]
