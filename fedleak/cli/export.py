"""The command ``export``, which writes results for papers and notebooks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedleak.cli.output import say


class ExportFormat(StrEnum):
    """Formats of exported results."""

    FIGURES = "figures"
    LATEX = "latex"
    PARQUET = "parquet"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(export)


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR")],
    to: Annotated[list[ExportFormat], typer.Option("--to", help="Format; repeatable.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder to write to.", show_default="DIR/export")
    ] = None,
) -> None:
    """Write results as figures (SVG and PDF), a LaTeX table, or one row for each image (Parquet, CSV).

    DIR is the directory of a finished run or study.
    """
    from fedleak.cli.places import check_run, check_study, what_is
    from fedleak.studies.export import export as write

    if what_is(directory) == "study":
        check_study(directory)
    else:
        check_run(directory, finished=True)
    for each in to:
        for path in write(directory, each.value, out):
            say(path)
