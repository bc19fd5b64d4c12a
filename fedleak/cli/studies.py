"""The commands for several runs: study, verify, studies, compare, frontier, track."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fedleak.studies.results import StudyResults

TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="KIND[=TARGET]",
        help="Also log to tensorboard=DIR or mlflow=URI; repeatable [default: none].",
    ),
]
NUMBERS = ("cells", "federations", "minutes on 2 cores", "claims")


@dataclass(frozen=True)
class Request:
    """Options shared by the commands that run a study."""

    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Study YAML, or the name of a shipped study.")]
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Override a setting of every cell; repeatable."),
    ] = None
    out: Annotated[Path | None, typer.Option("--out", help="Study directory [default: runs/<name>-<budget>].")] = None
    budget: Annotated[str | None, typer.Option("--budget", help="One of the study's budgets.")] = None
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Cells in parallel [default: as many as fit].")] = (
        None
    )
    address: Annotated[str | None, typer.Option("--address", help="Join this Ray cluster: auto, HOST:PORT.")] = None
    serial: Annotated[bool, typer.Option("--serial", help="Run everything in this process, without Ray.")] = False
    track: TrackOption = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result, no progress.")] = False


def _takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter ``request`` of a command by the fields of ``Request``."""
    fields = inspect.signature(Request).parameters
    own = [p for name, p in inspect.signature(command).parameters.items() if name != "request"]

    def filled(**given: Any) -> None:
        request = Request(**{name: given.pop(name) for name in fields})
        command(request, **given)

    filled.__name__, filled.__doc__ = command.__name__, command.__doc__
    hints = {**get_type_hints(Request, include_extras=True), **get_type_hints(command, include_extras=True)}
    together = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in (*fields.values(), *own)]
    filled.__annotations__ = {p.name: p.annotation for p in together}
    filled.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
    return filled


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (_takes_request(study), _takes_request(verify), studies, compare, frontier, track):
        app.command()(command)


def study(
    request: Request,
    *,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
) -> None:
    """Run all cells of a study in parallel and judge its claims; the same command continues a killed study."""
    if _failed_cells(_run(request, retry_failed=retry_failed)):
        raise typer.Exit(1)


def verify(
    request: Request,
    *,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Fail only on claims that are not reproduced.")
    ] = False,
) -> None:
    """Run a study; the exit code is 1 unless every claim is reproduced. For continuous integration."""
    results = _run(request, retry_failed=True)
    states = {verdict.state for verdict in results.verdicts}
    accepted = {"reproduced", "inconclusive", "nothing_leaked"} if allow_inconclusive else {"reproduced"}
    if _failed_cells(results) or not states or not states <= accepted:
        raise typer.Exit(1)


def studies(
    folder: Annotated[Path | None, typer.Argument(help="Search this folder instead of the shipped studies.")] = None,
) -> None:
    """List the shipped studies with the cost of each budget."""
    from fedleak.scenario.shipped import shipped_folder
    from fedleak.studies.catalogue import catalogue

    table = Table(box=None, pad_edge=False)
    for heading in ("study", "budget", "cells", "federations", "minutes on 2 cores", "claims", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is", justify="right" if heading in NUMBERS else "left")
    for entry in catalogue(folder or shipped_folder()):
        for i, budget in enumerate(entry.budgets):
            minutes = "" if budget.minutes is None else f"{budget.minutes:g}"
            head, tail = (entry.name, (str(entry.claims), entry.description)) if i == 0 else ("", ("", ""))
            table.add_row(head, budget.name, str(budget.cells), str(budget.federations), minutes, *tail)
    _wide_console().print(table)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="Directories of finished runs.")],
    out: Annotated[Path | None, typer.Option("--out", help="Also write an HTML report to this file.")] = None,
) -> None:
    """Compare finished runs by the settings in which their scenarios differ."""
    from fedleak.cli.study_tables import lines_table
    from fedleak.records import write_atomically
    from fedleak.studies.compare import compare_runs
    from fedleak.studies.report.build import render_study

    compared = compare_runs(runs)
    _wide_console().print(lines_table(compared))
    if out is not None:
        write_atomically(out, render_study(compared, out.parent))
        _wide_console().print(f"report: {out}", highlight=False, markup=False, soft_wrap=True)


def frontier(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="Directory of a finished study.")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="Leakage metric [default: lpips, or another if it is absent].")
    ] = None,
    accuracy_loss: Annotated[
        float,
        typer.Option("--accuracy-loss", min=0, max=1, help="Accepted loss of accuracy, in [0, 1]."),
    ] = 0.05,
) -> None:
    """Compare a study's settings by accuracy, leakage and bytes per round, and recommend one."""
    from fedleak.cli.study_tables import frontier_table
    from fedleak.studies.directory import StudyDirectory
    from fedleak.studies.frontier import find_frontier
    from fedleak.studies.report.frontier import recommendation, write_frontier
    from fedleak.studies.results import load_study_results

    results = load_study_results(study_dir)
    found = find_frontier(results, StudyDirectory(study_dir), metric=metric, accuracy_loss=accuracy_loss)
    console = _wide_console()
    for case in found.cases:
        console.print(frontier_table(case, found))
        console.print(recommendation(case, found), highlight=False, markup=False, soft_wrap=True)
    console.print(f"report: {write_frontier(study_dir, found)}", highlight=False, markup=False, soft_wrap=True)


def track(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Finished runs and studies.")],
    to: Annotated[list[str], typer.Option("--to", metavar="KIND[=TARGET]", help="tensorboard=DIR or mlflow=URI.")],
) -> None:
    """Log finished runs and studies to a tracker; entries that exist already are skipped."""
    from fedleak.trackers.session import chosen_trackers, log_finished

    trackers = chosen_trackers(to)
    for directory in directories:
        new = log_finished(directory, trackers)
        _wide_console().print(f"{directory}: {new} logged", highlight=False, markup=False, soft_wrap=True)


def _run(request: Request, *, retry_failed: bool) -> StudyResults:
    """Run a study, log it, and print its results."""
    from fedleak.cli.live import QuietWatcher, unit_names, watch
    from fedleak.scenario.shipped import find_scenario
    from fedleak.studies.run import run_study, study_directory
    from fedleak.studies.study import load_study
    from fedleak.trackers.session import TrackingWatcher, chosen_trackers, log_finished

    trackers = chosen_trackers(request.track or ())
    loaded = load_study(
        find_scenario(request.study, option="STUDY"), overrides=request.overrides or (), budget=request.budget
    )
    directory = study_directory(loaded, request.out)
    with nullcontext(QuietWatcher()) if request.quiet else watch(loaded, Console(stderr=True)) as watcher:
        tracking = TrackingWatcher(watcher, trackers, root=directory.root, group=loaded.name, names=unit_names(loaded))
        results = run_study(
            loaded,
            directory,
            tracking,
            jobs=request.jobs,
            address=request.address,
            serial=request.serial,
            retry_failed=retry_failed,
        )
    _print_outcome(results, directory.root)
    log_finished(directory.root, trackers)
    return results


def _failed_cells(results: StudyResults) -> int:
    return sum(cell.status == "failed" for cell in results.cells)


def _print_outcome(results: StudyResults, root: Path) -> None:
    from fedleak.cli.study_tables import lines_table, verdicts_text
    from fedleak.studies.matrix import describe

    console = _wide_console()
    console.print(lines_table(results))
    for cell in results.cells:
        if cell.status == "failed":
            lines = "".join(f"\n    {line}" for line in cell.log_tail)
            text = f"failed: {describe(cell.point)} seed {cell.seed}: {cell.reason}{lines}"
            console.print(text, style="red", highlight=False, markup=False)
    for note in results.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(verdicts_text(results), end="")
    console.print(f"report: {root / 'report.html'}", highlight=False, markup=False, soft_wrap=True)


def _wide_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=200)
