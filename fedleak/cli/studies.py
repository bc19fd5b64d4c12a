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

from fedleak.cli.options import (
    BudgetOption,
    DeviceOption,
    ForceOption,
    QuietOption,
    SetOption,
    TrackOption,
)
from fedleak.cli.output import print_study, say, starting, wide_console
from fedleak.cli.runs import RunRequest, run_scenario_file
from fedleak.errors import InputError

if TYPE_CHECKING:
    from fedleak.studies.results import StudyResults

NUMBERS = ("cells", "federations", "minutes on 2 cores", "claims")


@dataclass(frozen=True)
class StudyRequest:
    """A study's file or name, and the options of the commands that run one."""

    study: Annotated[Path, typer.Argument(metavar="STUDY")]
    overrides: SetOption = None
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory to write to.", show_default="runs/<name>-<budget>")
    ] = None
    budget: BudgetOption = None
    device: DeviceOption = None
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Run this seed only.", show_default="the file's seeds")
    ] = None
    force: ForceOption = False
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Cells in parallel.", show_default="as many as fit")
    ] = None
    address: Annotated[
        str | None,
        typer.Option("--address", help="Join this Ray cluster: auto, HOST:PORT.", show_default="a local one"),
    ] = None
    serial: Annotated[bool, typer.Option("--serial", help="Run everything in this process, without Ray.")] = False
    track: TrackOption = None
    quiet: QuietOption = False

    @classmethod
    def of(cls, request: RunRequest) -> StudyRequest:
        """The request of ``fedleak run`` for what turned out to be a study."""
        return cls(
            study=request.source,
            overrides=list(request.overrides),
            out=request.out,
            budget=request.budget,
            device=request.device,
            seed=request.seed,
            force=request.force,
            track=list(request.track),
            quiet=request.quiet,
        )

    def of_scenario(self, source: Path, out: Path | None) -> RunRequest:
        """The request of ``fedleak study`` for what turned out to be a plain scenario: one run.

        Raises:
            InputError: if it asks for parallel cells.
        """
        if self.jobs is not None:
            raise InputError("--jobs", self.jobs, "it is a plain scenario, a single run; expected no --jobs")
        engine = [f"federation.engine.address={self.address}"] if self.address else []
        engine += ["federation.engine={kind: serial}"] if self.serial else []
        overrides = (*(self.overrides or ()), *engine)
        track = tuple(self.track or ())
        return RunRequest(source, overrides, out, self.budget, self.device, self.seed, self.force, track, self.quiet)


def _takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter ``request`` of a command by the fields of ``StudyRequest``."""
    fields = inspect.signature(StudyRequest).parameters
    own = [p for name, p in inspect.signature(command).parameters.items() if name != "request"]

    def filled(**given: Any) -> None:
        request = StudyRequest(**{name: given.pop(name) for name in fields})
        command(request, **given)

    filled.__name__, filled.__doc__ = command.__name__, command.__doc__
    hints = {**get_type_hints(StudyRequest, include_extras=True), **get_type_hints(command, include_extras=True)}
    together = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in (*fields.values(), *own)]
    filled.__annotations__ = {p.name: p.annotation for p in together}
    filled.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
    return filled


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (_takes_request(study), _takes_request(verify), studies, compare, frontier, track):
        app.command()(command)


def study(
    request: StudyRequest,
    *,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
) -> None:
    """Run all cells of a study in parallel and judge its claims; the same command continues a killed study.

    STUDY is a YAML file, the name of a shipped study (see 'fedleak studies'), or the directory of a study to continue.
    A plain scenario is run as by 'fedleak run'.
    """
    from fedleak.cli.places import source_of
    from fedleak.scenario.reader import read_yaml
    from fedleak.studies.study import is_study

    source, out = source_of(request.study, request.out, option="STUDY")
    if not is_study(read_yaml(source)):
        run_scenario_file(request.of_scenario(source, out))
        return
    leave(run_study_file(request, retry_failed=retry_failed))


def verify(
    request: StudyRequest,
    *,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Fail only on claims that are not reproduced.")
    ] = False,
) -> None:
    """Run a study; the exit code is 1 unless every claim is reproduced. For continuous integration.

    STUDY is a YAML file, the name of a shipped study (see 'fedleak studies'), or the directory of a study to continue.
    """
    results = run_study_file(request, retry_failed=True)
    states = {verdict.state for verdict in results.verdicts}
    accepted = {"reproduced", "inconclusive", "nothing_leaked"} if allow_inconclusive else {"reproduced"}
    if _failed_cells(results) or not states or not states <= accepted:
        raise typer.Exit(1)


def studies(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", show_default="the shipped studies")] = None,
) -> None:
    """List the shipped studies, or those in FOLDER, with the cost of each budget."""
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
    wide_console().print(table)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write an HTML report to this file.", show_default="none")
    ] = None,
) -> None:
    """Compare finished runs by the settings in which their scenarios differ; two runs on the same images also in pairs.

    Each RUN_DIR is the directory of a run, or that of a study, which stands for its finished cells.
    """
    from fedleak.cli.places import runs_in
    from fedleak.cli.study_tables import lines_table, paired_table
    from fedleak.records import write_atomically
    from fedleak.studies.compare import compare_runs
    from fedleak.studies.report.build import render_study

    compared = compare_runs(list(runs_in(runs)))
    console = wide_console()
    console.print(lines_table(compared))
    if compared.paired:
        console.print(paired_table(compared))
    for note in compared.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if out is not None:
        write_atomically(out, render_study(compared, out.parent))
        say(f"report: {out}")


def frontier(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR")],
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Leakage metric.", show_default="lpips, or another where it is absent"),
    ] = None,
    accuracy_loss: Annotated[
        float,
        typer.Option("--accuracy-loss", min=0, max=1, help="Accepted loss of accuracy, a share."),
    ] = 0.05,
) -> None:
    """Compare a study's settings by accuracy, leakage and bytes per round, and recommend one.

    STUDY_DIR is the directory of a finished study.
    """
    from fedleak.cli.places import check_study
    from fedleak.cli.study_tables import frontier_table
    from fedleak.studies.directory import StudyDirectory
    from fedleak.studies.frontier import find_frontier
    from fedleak.studies.report.frontier import missing_lines, recommendation, write_frontier
    from fedleak.studies.results import load_study_results

    check_study(study_dir)
    results = load_study_results(study_dir)
    found = find_frontier(results, StudyDirectory(study_dir), metric=metric, accuracy_loss=accuracy_loss)
    console = wide_console()
    for case in found.cases:
        console.print(frontier_table(case, found))
        console.print(recommendation(case, found), soft_wrap=True)
        for line in missing_lines(case):
            console.print(f"  {line}", soft_wrap=True)
    say(f"report: {write_frontier(study_dir, found)}")


def track(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...")],
    to: Annotated[
        list[str], typer.Option("--to", metavar="KIND[=TARGET]", help="tensorboard=DIR, mlflow=URI or wandb=DIR.")
    ],
) -> None:
    """Log finished runs and studies to a tracker; entries that exist already are skipped.

    Each DIR is the directory of a run or study.
    """
    from fedleak.trackers.session import chosen_trackers, log_finished

    trackers = chosen_trackers(to, option="--to")
    for directory in directories:
        new = log_finished(directory, trackers)
        say(f"{directory}: {new} logged")


def run_study_file(request: StudyRequest, *, retry_failed: bool = False) -> StudyResults:
    """Run a study, log it, and print its results."""
    with starting(f"study {request.study}", quiet=request.quiet):
        from fedleak.cli.live import QuietWatcher, unit_names, watch
        from fedleak.cli.places import source_of
        from fedleak.studies.run import run_study, study_directory
        from fedleak.studies.study import load_study
        from fedleak.trackers.session import TrackingWatcher, chosen_trackers, log_finished

        trackers = chosen_trackers(request.track or ())
        source, out = source_of(request.study, request.out, option="STUDY")
        loaded = load_study(
            source, overrides=request.overrides or (), budget=request.budget, seed=request.seed, device=request.device
        )
        directory = study_directory(loaded, out)
    console = Console(stderr=True, markup=False)
    with nullcontext(QuietWatcher()) if request.quiet else watch(loaded, console, directory) as watcher:
        tracking = TrackingWatcher(watcher, trackers, root=directory.root, group=loaded.name, names=unit_names(loaded))
        results = run_study(
            loaded,
            directory,
            tracking,
            jobs=request.jobs,
            address=request.address,
            serial=request.serial,
            retry_failed=retry_failed,
            force=request.force,
        )
    print_study(results, directory.root, quiet=request.quiet)
    log_finished(directory.root, trackers)
    return results


def leave(results: StudyResults) -> None:
    """Exit with code 1 if cells failed."""
    if _failed_cells(results):
        raise typer.Exit(1)


def _failed_cells(results: StudyResults) -> int:
    return sum(cell.status == "failed" for cell in results.cells)
