"""Components: the exchangeable parts of a scenario, discovered by package.

A family (attacks, models, datasets ...) is a package. Every module in it is imported, and every concrete subclass of
the family's base class is a *kind*; there is no list to edit. In YAML a component is a mapping with a ``kind``, or
just the name of the kind to use its defaults. Beside these, a family has the subclasses that a session has defined,
and the kinds of other packages (see ``plugins``); shipped kinds come first.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from fedleak.plugins import plugins

NUMBERS = ("int", "float", "bool")
VALUES = ("metadata", "serialization", "default", "expected")
"""Keys of a core schema that hold no schemas."""


def _make_numbers_strict(schema: Any) -> None:
    """Make the numbers of a core schema strict; pydantic's own strict mode would also refuse lists for tuples."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind in NUMBERS:
        schema["strict"] = True
    elif kind == "literal":
        _list_numbers(schema)
    else:
        for part in _parts(schema):
            _make_numbers_strict(part)


def _parts(schema: Any) -> Sequence[Any]:
    if isinstance(schema, list | tuple):
        return schema
    if not isinstance(schema, dict):
        return ()
    function = schema.get("function")
    if isinstance(function, dict) and isinstance(function.get("function"), _AsListed):
        return ()
    return [part for key, part in schema.items() if key not in VALUES]


def _list_numbers(schema: dict[str, Any]) -> None:
    listed, literal = tuple(schema["expected"]), dict(schema)
    if any(isinstance(value, int | float) for value in listed):
        schema.clear()
        schema.update(core_schema.no_info_before_validator_function(_AsListed(listed), literal))


@dataclass(frozen=True)
class _AsListed:
    """Refuses a number that only equals one of those that are listed: ``True == 1.0 == 1``."""

    listed: tuple[Any, ...]

    def __call__(self, value: Any) -> Any:
        if isinstance(value, int | float) and type(value) not in {type(each) for each in self.listed}:
            raise PydanticKnownError("literal_error", {"expected": " or ".join(map(str, self.listed))})
        return value


def _expand_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class Settings(BaseModel):
    """A frozen block of YAML settings; unknown keys are errors, and numbers are taken as written.

    A text or a boolean is no number, a fraction no integer, a number no boolean: ``"3"``, ``true``, ``3.0`` and ``1``
    are refused where an integer, a number, an integer and a boolean belong. A number may be written without a point.
    A block with a ``kind`` whose settings all have defaults may be given by that name alone, as components may.
    A field is described by the docstring below it; without one, by that of the field it replaces, or by its block's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        for name, field in cls.__pydantic_fields__.items():
            field.description = field.description or _inherited(cls, name) or _of_the_block(field.annotation)
        schema = handler(source)
        _make_numbers_strict(schema)
        kinds = () if hasattr(cls, "kind_name") else cls._names()
        if not kinds:
            return schema
        written = core_schema.union_schema([core_schema.literal_schema(list(kinds)), schema])
        return core_schema.no_info_before_validator_function(_expand_name, schema, json_schema_input_schema=written)

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        """Names that stand for a whole block: its kinds, if all of its settings have defaults."""
        fields = cls.__pydantic_fields__
        if "kind" not in fields or any(field.is_required() for field in fields.values()):
            return ()
        return tuple(value for value in get_args(fields["kind"].annotation) if isinstance(value, str))


def _inherited(cls: type[Settings], name: str) -> str | None:
    if name == "kind" and hasattr(cls, "kind_name"):
        return summary_of(cls)
    fields = [base.__dict__.get("__pydantic_fields__", {}).get(name) for base in cls.__mro__[1:]]
    return next((field.description for field in fields if field is not None and field.description), None)


def _of_the_block(annotation: Any) -> str | None:
    parts = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type)]
    blocks = [part for part in parts if issubclass(part, Settings)]
    return summary_of(blocks[0]) if len(blocks) == 1 else None


def summary_of(cls: type) -> str:
    """First line of a class's docstring."""
    return (inspect.getdoc(cls) or "").split("\n", maxsplit=1)[0]


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
        return summary_of(cls)


C = TypeVar("C", bound=Component)


def _subclasses(base: type[C]) -> Iterator[type[C]]:
    for child in base.__subclasses__():
        yield child
        yield from _subclasses(child)


def every_component() -> Iterator[type[Component]]:
    """Every class of component in this process, abstract ones included."""
    return _subclasses(Component)


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


def further_kind(base: type[C], package: str, kind: str) -> type[C] | None:
    """A kind that is not shipped: the class of this process that was defined last, or else a plug-in; or None.

    Raises:
        InputError: if the plug-in is broken.
    """
    inside = f"{package}."
    own = [
        cls
        for cls in _subclasses(base)
        if cls.kind_name() == kind and not inspect.isabstract(cls) and not f"{cls.__module__}.".startswith(inside)
    ]
    if own:
        return own[-1]
    plugin = plugins(package).get(kind)
    return plugin.load(base) if plugin is not None else None


def find_kind(base: type[C], package: str, kind: str) -> type[C] | None:
    """A kind by name: shipped, of this session, or of another package; None if there is none.

    Raises:
        InputError: if it is a plug-in and broken.
    """
    return discover(base, package).get(kind) or further_kind(base, package, kind)


def choice(base: type[Component], package: str) -> Any:
    """Type annotation of a scenario field that holds one component of the family."""
    shipped = discover(base, package)
    kinds = list(shipped.values())
    union = kinds[0] if len(kinds) == 1 else Annotated[reduce(or_, kinds), Field(discriminator="kind")]
    named = BeforeValidator(_expand_name, json_schema_input_type=_written(kinds, union))
    return Annotated[union, named, _Further(base, package, tuple(shipped))]


@dataclass(frozen=True)
class _Further:
    """Admits kinds that are not shipped, which the union and the JSON schema do not list."""

    base: type[Component]
    package: str
    shipped: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(
            self._validated, handler(source), serialization=core_schema.simple_ser_schema("any")
        )

    def _validated(self, value: Any, shipped: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if isinstance(value, self.base):
            return value
        written = _expand_name(value)
        kind = written.get("kind") if isinstance(written, Mapping) else None
        if not isinstance(kind, str) or kind in self.shipped:
            return shipped(value)
        found = further_kind(self.base, self.package, kind)
        if found is not None:
            return found.model_validate(written, context=info.context)
        known = ", ".join(f"'{name}'" for name in (*self.shipped, *plugins(self.package)))
        if len(self.shipped) == 1:
            return shipped(value)
        raise PydanticKnownError("union_tag_invalid", {"discriminator": "kind", "tag": kind, "expected_tags": known})


def _written(kinds: Sequence[type[Component]], union: Any) -> Any:
    """How a component may be written: by its name alone if all of its settings have defaults, or as a mapping."""
    names = tuple(k.kind_name() for k in kinds if not any(field.is_required() for field in k.model_fields.values()))
    return Literal[names] | union if names else union
