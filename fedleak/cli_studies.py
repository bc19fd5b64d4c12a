"""The commands that deal in many runs: study, verify, studies, compare."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fedleak.studies.results import StudyResults

SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a setting of every cell; repeatable.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Study directory [default: runs/<name>-<budget>].")]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="One of the study's budgets.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study YAML, or the name of one that ships.")]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, help="Cells at a time [default: as many as fit].")]
AddressOption = Annotated[str | None, typer.Option("--address", help="Join this Ray cluster: auto, HOST:PORT.")]
SerialOption = Annotated[bool, typer.Option("--serial", help="All in this process, without Ray.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Run cells again that failed earlier.")]
NUMBERS = ("cells", "federations", "minutes on 2 cores", "claims")


@dataclass(frozen=True)
class Request:
    """What the command line asks of a study."""

    source: Path
    overrides: tuple[str, ...]
    out: Path | None
    budget: str | None
    jobs: int | None
    address: str | None
    serial: bool
    retry_failed: bool
    quiet: bool


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (study, verify, studies, compare, frontier):
        app.command()(command)


def study(
    study: StudyFile,
    set_: SetOption = None,
    out: OutOption = None,
    budget: BudgetOption = None,
    jobs: JobsOption = None,
    address: AddressOption = None,
    serial: SerialOption = False,
    retry_failed: RetryOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a study: every cell in parallel, then table, figure and verdicts; the same command continues a killed one."""
    request = Request(study, tuple(set_ or ()), out, budget, jobs, address, serial, retry_failed, quiet)
    if _failed_cells(_run(request)):
        raise typer.Exit(1)


def verify(
    study: StudyFile,
    set_: SetOption = None,
    out: OutOption = None,
    budget: BudgetOption = None,
    jobs: JobsOption = None,
    address: AddressOption = None,
    serial: SerialOption = False,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Fail only on claims that are measured to be wrong.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Run a study and exit with 1 unless every claim is reproduced, for continuous integration."""
    request = Request(study, tuple(set_ or ()), out, budget, jobs, address, serial, True, quiet)
    results = _run(request)
    states = {verdict.state for verdict in results.verdicts}
    accepted = {"reproduced", "inconclusive"} if allow_inconclusive else {"reproduced"}
    if _failed_cells(results) or not states or not states <= accepted:
        raise typer.Exit(1)


def studies(
    folder: Annotated[Path | None, typer.Argument(help="Look here instead of among those that ship.")] = None,
) -> None:
    """List the studies that ship, with what each budget costs."""
    from fedleak.studies.catalogue import catalogue, shipped_folder

    table = Table(box=None, pad_edge=False)
    for heading in ("study", "budget", "cells", "federations", "minutes on 2 cores", "claims", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is", justify="right" if heading in NUMBERS else "left")
    for entry in catalogue(folder or shipped_folder()):
        for i, offer in enumerate(entry.offers):
            minutes = "" if offer.minutes is None else f"{offer.minutes:g}"
            head, tail = (entry.name, (str(entry.claims), entry.description)) if i == 0 else ("", ("", ""))
            table.add_row(head, offer.budget, str(offer.cells), str(offer.federations), minutes, *tail)
    _wide_console().print(table)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="Directories of finished runs.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write an HTML report here, too.")] = None,
) -> None:
    """Set finished runs side by side, by what differs in their scenarios."""
    from fedleak.records import write_atomically
    from fedleak.report.study_build import render_study
    from fedleak.studies.compare import compare_runs
    from fedleak.studies.tables import lines_table

    compared = compare_runs(runs)
    _wide_console().print(lines_table(compared))
    if out is not None:
        write_atomically(out, render_study(compared, out.parent))
        _wide_console().print(f"report: {out}", highlight=False, markup=False, soft_wrap=True)


def frontier(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="Directory of a study that was run.")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="Of leakage [default: lpips, or a stand-in where it is absent].")
    ] = None,
    accuracy_loss: Annotated[
        float, typer.Option("--accuracy-loss", min=0, max=1, help="What a recommended setting may lose, in [0, 1].")
    ] = 0.05,
) -> None:
    """Compare a study's settings by accuracy, leakage and bytes per round, and recommend one."""
    from fedleak.report.frontier_page import recommendation, write_frontier
    from fedleak.studies.directory import StudyDirectory
    from fedleak.studies.frontier import find_frontier
    from fedleak.studies.results import load_study_results
    from fedleak.studies.tables import frontier_table

    results = load_study_results(study_dir)
    found = find_frontier(results, StudyDirectory(study_dir), metric=metric, accuracy_loss=accuracy_loss)
    console = _wide_console()
    for case in found.cases:
        console.print(frontier_table(case, found))
        console.print(recommendation(case, found), highlight=False, markup=False, soft_wrap=True)
    console.print(f"report: {write_frontier(study_dir, found)}", highlight=False, markup=False, soft_wrap=True)


def _run(request: Request) -> StudyResults:
    """Run a study and print its outcome."""
    from fedleak.studies.catalogue import find_study
    from fedleak.studies.live import QuietWatcher, watch
    from fedleak.studies.run import run_study, study_directory
    from fedleak.studies.study import load_study

    loaded = load_study(find_study(request.source), overrides=request.overrides, budget=request.budget)
    directory = study_directory(loaded, request.out)
    with nullcontext(QuietWatcher()) if request.quiet else watch(loaded, Console(stderr=True)) as watcher:
        results = run_study(
            loaded,
            directory,
            watcher,
            jobs=request.jobs,
            address=request.address,
            serial=request.serial,
            retry_failed=request.retry_failed,
        )
    _print_outcome(results, directory.root)
    return results


def _failed_cells(results: StudyResults) -> int:
    return sum(cell.status == "failed" for cell in results.cells)


def _print_outcome(results: StudyResults, root: Path) -> None:
    from fedleak.studies.matrix import describe
    from fedleak.studies.tables import lines_table, verdicts_text

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
