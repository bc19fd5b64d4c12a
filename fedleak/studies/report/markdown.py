"""Parts of Markdown documents: tables, and texts that cannot break them."""

from __future__ import annotations

import re
from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; empty without rows."""
    if not rows:
        return []
    rule = "|" + "---|" * len(headings)
    return [_row(headings), rule, *(_row(row) for row in rows), ""]


def text(value: object) -> str:
    """A text on one line, in which nothing is HTML or ends a cell of a table."""
    line = re.sub(r"&(?=#?\w+;)", "&amp;", " ".join(str(value).split()))
    return line.replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
