"""The command ``doctor``, which looks for mistakes before or after a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedleak.cli.options import BudgetOption, JsonOption, SetOption

STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(doctor)


def doctor(
    path: Annotated[Path, typer.Argument(metavar="SCENARIO|RUN_DIR")],
    set_: SetOption = None,
    budget: BudgetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for common causes of failing attacks; the exit code is 1 if there are errors.

    SCENARIO is a YAML file or the name of a shipped scenario or study, RUN_DIR the directory of an earlier run.
    """
    from fedleak.cli.places import source_of, what_is
    from fedleak.doctor.examination import examine

    if what_is(path) == "study":
        path, _ = source_of(path, None, option="SCENARIO|RUN_DIR")
    findings = examine(path, budget=budget, overrides=tuple(set_ or ()))
    console = Console(soft_wrap=True)
    if as_json:
        console.print(json.dumps([f.model_dump() for f in findings], indent=1), highlight=False, markup=False)
    for finding in () if as_json else findings:
        console.print(
            f"{finding.severity}: {finding.what}", style=STYLES[finding.severity], highlight=False, markup=False
        )
        console.print(f"  why: {finding.why}\n  do:  {finding.remedy}", highlight=False, markup=False)
    if not findings and not as_json:
        console.print(f"{path}: nothing found", highlight=False, markup=False)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)
