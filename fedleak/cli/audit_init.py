"""The command ``audit init``, which writes a commented study of the usual audit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fedleak.cli.output import say

QUESTIONS = {
    "dataset": "Images: a kind of 'fedleak list dataset', or a folder with one folder for each class",
    "model": "Network: a kind of 'fedleak list model', or module:function of your own",
    "clients": "Clients",
    "samples": "Images that a client trains on in a round",
    "batch_size": "Images in a local mini-batch",
    "local_epochs": "Local epochs",
    "learning_rate": "Local learning rate",
}


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE")] = Path("audit.yaml"),
    dataset: Annotated[
        str | None, typer.Option(help="Kind, or folder of images by class.", show_default="digits")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Kind, or module:function.", show_default="lenet")] = None,
    clients: Annotated[int | None, typer.Option(min=2, show_default="10")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, show_default="5")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Images that a client trains on in a round.", show_default="8")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, show_default="4")] = None,
    local_epochs: Annotated[int | None, typer.Option(min=1, show_default="1")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of clients' local steps.", show_default="0.05")] = None,
    ask: Annotated[
        bool | None,
        typer.Option("--ask/--no-ask", help="Ask for these.", show_default="only on a terminal"),
    ] = None,
) -> None:
    """Write a commented study of the usual audit: federated averaging, an honest server, three defenses.

    FILE is a new YAML file. The server infers labels, matches gradients with and without knowing the clients' local
    settings, and trains a generator on public images; clients have no defense, a cheap one or a strong one.
    """
    from fedleak.audit.template import AuditPlan

    _refuse_existing(file)
    values = {
        "dataset": dataset,
        "model": model,
        "clients": clients,
        "rounds": rounds,
        "samples": samples,
        "batch_size": batch_size,
        "local_epochs": local_epochs,
        "learning_rate": learning_rate,
    }
    given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if ask if ask is not None else (not given and sys.stdin.isatty()):
        for name, question in QUESTIONS.items():
            if name not in given:
                default = getattr(AuditPlan, name)
                given[name] = typer.prompt(question, default=default, type=type(default), err=True)
    _write(file, AuditPlan(**given))
    say(f"{file}: written; 'fedleak study {file} --budget try' runs a first look")


def _refuse_existing(file: Path) -> None:
    from fedleak.errors import InputError

    if file.exists():
        raise InputError("FILE", str(file), "it exists already; choose another name")


def _write(file: Path, plan: Any) -> None:
    """Write the study, and remove it again if 'fedleak validate' would refuse it."""
    from fedleak.audit.template import render
    from fedleak.errors import InputError
    from fedleak.records import write_atomically
    from fedleak.studies.study import check_budgets, load_study

    write_atomically(file, render(file, plan))
    try:
        study = load_study(file)
        check_budgets(file)
        for cell in study.cells:
            cell.scenario.model.check_available()
    except InputError:
        file.unlink()
        raise
