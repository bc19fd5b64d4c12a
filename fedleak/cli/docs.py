"""The command ``docs``: the documentation in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

WIDEST = 120
"""Columns of a page, so that lines stay readable."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(docs)


def docs(
    page: Annotated[str | None, typer.Argument(metavar="PAGE", show_default="the list of pages")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print the Markdown as it is.")] = False,
) -> None:
    """Show a page of the documentation: tutorials, glossary, attacks, and the README of each room.

    Without PAGE it lists all of them. The last part of a name is enough: gias for attacks/gias.
    """
    from fedleak.cli.output import say, wide_console
    from fedleak.docs.library import every_page, expanded, find_page

    if page is not None:
        text = find_page(page).text()
        console = Console(markup=False)
        if plain:
            say(text.rstrip())
        else:
            console.print(Markdown(expanded(text), hyperlinks=console.is_terminal), width=min(console.width, WIDEST))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("page", "what it is"):
        table.add_column(heading, no_wrap=heading == "page")
    for name, found in every_page().items():
        table.add_row(name, found.title)
    wide_console().print(table)
