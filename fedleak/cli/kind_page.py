"""``fedleak list FAMILY KIND``: what one kind is, what it must know, and its settings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fedleak.cli.kinds import CAPABILITY, kinds_of
from fedleak.component import Component
from fedleak.errors import InputError, nearest
from fedleak.scenario.described import MARKUP, needs_of, settings_of


def named_kind(family: str, given: str) -> type[Component]:
    """The kind of a family called ``given``.

    Raises:
        InputError: if there is none; suggests the nearest one.
    """
    if family == CAPABILITY:
        raise InputError("KIND", given, "capabilities have no settings: 'fedleak list capability' describes them")
    known = kinds_of(family)
    name = given.lower().replace("-", "_")
    if name not in known:
        raise InputError("KIND", given, f"{nearest(name, known)}the kinds of {family}: {', '.join(known)}")
    return known[name]


def kind_page(family: str, kind: type[Component]) -> Iterator[RenderableType]:
    """What the terminal shows of a kind: its description, the knowledge it needs, its settings with their defaults."""
    yield Text(f"{family} {kind.kind_name()}", style="bold")
    yield Text(MARKUP.sub(r"\1", inspect.getdoc(kind) or ""))
    needs = needs_of(kind)
    if needs:
        table = _table("knowledge", "granted by", "needed", "what it carries")
        for need in needs:
            table.add_row(need.name, need.level, need.when, need.meaning)
        yield table
    settings = settings_of(kind)
    if not settings:
        yield Text("It has no settings.")
        return
    table = _table("setting", "default", "allowed", "meaning")
    for setting in settings:
        table.add_row(setting.path, setting.default, setting.allowed, setting.meaning)
    yield table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("setting", "knowledge"))
    return table
