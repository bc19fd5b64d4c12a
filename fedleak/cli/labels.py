"""The command ``labels``, which runs label inferences on a recorded federation."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fedleak.cli.options import JsonOption, RunDir


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(labels)


def labels(
    run_dir: RunDir,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this inference; repeatable.", show_default="all")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run every label inference on the updates of a run, without attacks, and print the accuracies.

    RUN_DIR is the directory of a run, or of a federation that 'fedleak federate' recorded.
    """
    from fedleak.cli.places import check_run
    from fedleak.progress import QuietProgress, terminal_progress
    from fedleak.run_directory import RunDirectory
    from fedleak.stages.score.labels import score_labels

    check_run(run_dir, finished=False)
    console = Console(soft_wrap=True, markup=False)
    if as_json:
        scores = score_labels(RunDirectory(run_dir), QuietProgress(), only=kind or ())
        console.print(json.dumps([score.model_dump() for score in scores]), highlight=False, markup=False)
        return
    with terminal_progress(Console(stderr=True)) as progress:
        scores = score_labels(RunDirectory(run_dir), progress, only=kind or ())
    table = Table(title=f"{run_dir}: labels of victims' images", title_justify="left")
    for heading in ("inference", "by image", "by class", "updates", "remarks"):
        table.add_column(heading, justify="left" if heading in {"inference", "remarks"} else "right")
    for score in scores:
        accuracies = ("" if value is None else f"{value:.1%}" for value in (score.by_image, score.by_class))
        failed = f"{score.failures} failed: " if score.failures else ""
        table.add_row(score.inference, *accuracies, str(score.updates), failed + score.reason)
    console.print(table)
