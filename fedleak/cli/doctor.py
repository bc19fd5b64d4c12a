"""The command ``doctor``, which looks for mistakes before or after a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(doctor)


def doctor(
    path: Annotated[Path, typer.Argument(metavar="SCENARIO|RUN_DIR", help="A scenario, a study, or an earlier run.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a setting; repeatable.")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="One of the scenario's budgets.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
) -> None:
    """Look for common causes of failing attacks; the exit code is 1 if there are errors."""
    from fedleak.doctor.examination import examine

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
