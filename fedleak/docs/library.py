"""Every page by name: the written ones, the README of each room, and one for each attack."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fedleak.docs.attack_page import attack_page
from fedleak.errors import InputError, nearest
from fedleak.families import kinds

PACKAGE = Path(__file__).parents[1]
PAGES = PACKAGE / "docs" / "pages"
DIRECTIVE = re.compile(r"^::: (\S+)$", re.M)
"""A line that stands for the documentation of an object, as mkdocstrings has it."""
PAGE_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)[^)\s]*\)")
"""A link to another page; those with a scheme are left."""
README = "README.md"


@dataclass(frozen=True)
class DocumentationPage:
    """One page.

    Attributes:
        name: as ``fedleak docs`` takes it.
        place: its path in a source tree, with ``/``; links in its text are relative to that.
        text: returns its Markdown.
    """

    name: str
    place: str
    text: Callable[[], str]

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.text().split("\n", maxsplit=1)[0].removeprefix("# ")


def written_pages() -> dict[str, DocumentationPage]:
    """The pages of ``fedleak/docs/pages``."""
    return {path.stem: _file(path.stem, path) for path in sorted(PAGES.glob("*.md"))}


def room_pages() -> dict[str, DocumentationPage]:
    """The README of each room."""
    found = sorted(path for path in PACKAGE.rglob(README) if "shipped" not in path.relative_to(PACKAGE).parts)
    names = {path: f"rooms/{path.parent.relative_to(PACKAGE).as_posix()}" for path in found}
    return {name: _file(name, path) for path, name in names.items()}


def attack_pages() -> dict[str, DocumentationPage]:
    """One page for each kind of attack, made from its class and the ledger."""
    folder = "fedleak/docs/pages/attacks"
    return {
        f"attacks/{name}": DocumentationPage(f"attacks/{name}", f"{folder}/{name}.md", partial(attack_page, kind))
        for name, kind in kinds("attack").items()
    }


def every_page() -> dict[str, DocumentationPage]:
    """All pages by name, in the order in which they are listed."""
    return written_pages() | attack_pages() | room_pages()


def find_page(given: str) -> DocumentationPage:
    """The page called ``given``, by its name or by the end of it.

    Raises:
        InputError: if there is none, or several; suggests the nearest one.
    """
    pages, wanted = every_page(), given.strip("/").lower()
    for name in (wanted, f"attacks/{wanted}", f"rooms/{wanted}"):
        if name in pages:
            return pages[name]
    ends = [name for name in pages if name.endswith(f"/{wanted}")]
    if len(ends) == 1:
        return pages[ends[0]]
    hint = nearest(wanted, [*pages, *(name.rpartition("/")[2] for name in pages)])
    raise InputError("PAGE", given, f"{hint}'fedleak docs' lists the pages")


def expanded(text: str) -> str:
    """The text for a terminal: docstrings in the places of the objects that it names, links between pages as words."""
    return DIRECTIVE.sub(lambda found: _documented(found[1]), PAGE_LINK.sub(r"\1", text))


def _documented(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    found: Any = getattr(importlib.import_module(module), attribute)
    has_signature = callable(found) and not (inspect.isclass(found) and issubclass(found, BaseException))
    signature = f"{attribute}{inspect.signature(found)}" if has_signature else attribute
    return f"```python\n{signature}\n```\n\n```text\n{inspect.getdoc(found) or ''}\n```"


def _file(name: str, path: Path) -> DocumentationPage:
    place = path.relative_to(PACKAGE.parent).as_posix()
    return DocumentationPage(name, place, partial(path.read_text, encoding="utf-8"))
