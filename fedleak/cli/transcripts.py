"""The commands for transcripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedleak.cli.options import JsonOption
from fedleak.cli.output import say

transcript = typer.Typer(name="transcript", help="Check what was recorded of a federation.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(transcript)


@transcript.callback()
def _transcript() -> None:
    """Check what was recorded of a federation."""


@transcript.command()
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Say everything that is wrong with a transcript; the exit code is 2 if anything is.

    DIR is the folder of a transcript, or a run directory: then scenario, network and ground truth are compared, too.
    """
    from fedleak.errors import InputError
    from fedleak.stages.validation import validate_transcript

    if not directory.is_dir():
        raise InputError("DIR", str(directory), "there is no such directory")
    found = validate_transcript(directory)
    if as_json:
        report = {"problems": found.problems, "facts": found.facts, "remarks": found.remarks}
        say(json.dumps(report, indent=1))
    else:
        for name, value in found.facts.items():
            say(f"{name:<9} {value}")
        for remark in found.remarks:
            say(f"remark: {remark}")
        if not found.problems:
            say(f"{found.folder}: valid")
    for problem in found.problems if not as_json else ():
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"error: {problem}", style="red")
    if found.problems:
        raise typer.Exit(2)
