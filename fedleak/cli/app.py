"""The command line application and its main commands."""

from __future__ import annotations

import importlib
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from fedleak.cli import doctor as cli_doctor
from fedleak.cli import labels as cli_labels
from fedleak.cli import studies as cli_studies
from fedleak.cli.studies import TrackOption
from fedleak.errors import FedleakError
from fedleak.progress import Progress, QuietProgress, terminal_progress
from fedleak.version import __version__

app = typer.Typer(
    name="fedleak",
    help="Simulate and measure gradient leakage in federated learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli_studies.register(app)
cli_doctor.register(app)
cli_labels.register(app)

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="Scenario YAML, or the name of a shipped one.")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of an earlier run.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a setting; repeatable. List items by number or id."),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Run directory [default: runs/<name>-<hash>].")]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="One of the scenario's budgets.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Override the seed.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Device of the attack stage: auto, cpu, cuda ...")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an earlier run in the directory.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result, no progress.")]


def _version(show: bool) -> None:
    if show:
        Console().print(f"fedleak {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Simulate and measure gradient leakage in federated learning."""


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    if quiet:
        yield QuietProgress()
        return
    with terminal_progress(Console(stderr=True)) as progress:
        yield progress


@app.command()
def run(
    scenario: ScenarioFile,
    set_: SetOption = None,
    out: OutOption = None,
    budget: BudgetOption = None,
    device: DeviceOption = None,
    seed: SeedOption = None,
    force: ForceOption = False,
    track: TrackOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a scenario from the federation to the report; the same command continues a killed run."""
    from fedleak.pipeline import run_scenario
    from fedleak.scenario.file import load_scenario
    from fedleak.scenario.shipped import find_scenario
    from fedleak.trackers.session import chosen_trackers, log_finished

    trackers = chosen_trackers(track or ())
    loaded = load_scenario(find_scenario(scenario), overrides=set_ or (), budget=budget, seed=seed, device=device)
    with _progress(quiet) as progress:
        directory, _ = run_scenario(loaded, out=out, force=force, progress=progress)
    _print_outcome(directory.root)
    log_finished(directory.root, trackers)


@app.command()
def federate(
    scenario: ScenarioFile,
    set_: SetOption = None,
    out: OutOption = None,
    budget: BudgetOption = None,
    seed: SeedOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run only the federation and record what the adversary observes."""
    from fedleak.pipeline import federate_scenario, open_run
    from fedleak.scenario.file import load_scenario
    from fedleak.scenario.shipped import find_scenario

    loaded = load_scenario(find_scenario(scenario), overrides=set_ or (), budget=budget, seed=seed)
    directory = open_run(loaded, out)
    with _progress(quiet) as progress:
        federate_scenario(loaded, directory, force=force, progress=progress)
    _say(f"transcript: {directory.transcript}")


@app.command()
def attack(
    run_dir: RunDir,
    set_: SetOption = None,
    device: DeviceOption = None,
    track: TrackOption = None,
    quiet: QuietOption = False,
) -> None:
    """Attack a recorded federation, score the attacks and write the report; needs neither Flower nor Ray."""
    from fedleak.pipeline import attack_run
    from fedleak.run_directory import RunDirectory
    from fedleak.trackers.session import chosen_trackers, log_finished

    trackers = chosen_trackers(track or ())
    overrides = [*(set_ or ()), *([f"device={device}"] if device else [])]
    with _progress(quiet) as progress:
        results = attack_run(RunDirectory(run_dir), overrides=overrides, progress=progress)
    if results is not None:
        _print_outcome(run_dir)
        log_finished(run_dir, trackers)


@app.command()
def report(run_dir: RunDir) -> None:
    """Rewrite the HTML report of a finished run and print its results table."""
    from fedleak.pipeline import write_report
    from fedleak.run_directory import RunDirectory

    write_report(RunDirectory(run_dir))
    _print_outcome(run_dir)


@app.command()
def validate(
    scenario: ScenarioFile,
    set_: SetOption = None,
    budget: BudgetOption = None,
    data: Annotated[bool, typer.Option("--data", help="Also load and partition the data set.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the resolved scenario.")] = False,
) -> None:
    """Check a scenario or a study without running it."""
    from fedleak.scenario.file import load_scenario, to_yaml
    from fedleak.scenario.reader import read_yaml
    from fedleak.scenario.shipped import find_scenario
    from fedleak.studies.study import is_study, load_study, resolved_text

    found = find_scenario(scenario)
    if is_study(read_yaml(found)):
        study = load_study(found, overrides=set_ or (), budget=budget)
        checked = list({cell.federation: cell.scenario for cell in study.cells}.values())
        text, size = resolved_text(study), f", {len(study.keys)} cells"
    else:
        checked = [load_scenario(found, overrides=set_ or (), budget=budget)]
        text, size = to_yaml(checked[0]), ""
    for each in checked:
        each.model.check_available()
    if data:
        from fedleak.federation.plan import make_plan

        for each in checked:
            make_plan(each)
    if show:
        _say(text)
    _say(f"{scenario}: valid{size}" + (", and its data fit" if data else ""))


@app.command("list")
def list_kinds(family: Annotated[str | None, typer.Argument(help="Only this family.")] = None) -> None:
    """List the kinds of every family: attacks, data sets, models ..."""
    from fedleak.cli.kinds import EVERY_FAMILY, kinds_of
    from fedleak.errors import InputError
    from fedleak.threat import CAPABILITIES

    if family is not None and family not in (*EVERY_FAMILY, "capability"):
        raise InputError("FAMILY", family, f"known: {', '.join(EVERY_FAMILY)}, capability")
    table = Table(box=None, pad_edge=False)
    for heading in ("family", "kind", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for name in EVERY_FAMILY if family is None else [f for f in EVERY_FAMILY if f == family]:
        for kind, component in kinds_of(name).items():
            table.add_row(name, kind, component.summary())
    if family in (None, "capability"):
        for kind, capability in CAPABILITIES.items():
            table.add_row("capability", kind, f"{capability.summary()} ({_level(capability.level)})")
    Console().print(table)


def _level(level: int | None) -> str:
    return "derived" if level is None else f"level {level}"


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenarios and studies, for editors."""
    from fedleak.studies.json_schema import schema_text

    sys.stdout.write(schema_text())


class Benchmark(StrEnum):
    """Names of the benchmarks."""

    PAIRS = "pairs"
    FEDERATION = "federation"
    AVERAGING = "averaging"
    TRAINING = "training"
    INVERSION = "inversion"
    POSTPROCESS = "postprocess"
    IGSA = "igsa"


@app.command()
def bench(
    what: Annotated[Benchmark, typer.Argument(help="Which benchmark.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    images: Annotated[Path | None, typer.Option(help="inversion: folder of photographs, such as CIFAR-10.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure speed and memory on this machine."""
    from fedleak.errors import InputError

    if images is not None and what != Benchmark.INVERSION:
        raise InputError("--images", str(images), "only the benchmark inversion uses photographs")
    options = {} if images is None else {"images": images}
    module = importlib.import_module(f"fedleak.bench.{what.value}")
    with _progress(quiet) as progress:
        measured: dict[str, float] = module.measure(progress, **options)
    if as_json:
        _say(json.dumps(measured))
        return
    for name, value in measured.items():
        _say(f"{name:<24} {value:,.4g}")


def _say(text: str) -> None:
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def _print_outcome(root: Path) -> None:
    from fedleak.cli.tables import results_table
    from fedleak.results.schema import load_results

    results = load_results(root)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(results_table(results, width=console.width))
    for note in results.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    _say(f"report: {root / 'report.html'}")


INTERRUPTED = 130
"""Exit code that typer uses for a KeyboardInterrupt: 128 plus the number of SIGINT."""


class _Signals:
    """Turns SIGTERM into a KeyboardInterrupt, as Ctrl-C does, and remembers it."""

    def __init__(self) -> None:
        self.terminated = False
        signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: FrameType | None) -> NoReturn:
        self.terminated = True
        raise KeyboardInterrupt

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as in shells."""
        return 128 + (signal.SIGTERM if self.terminated else signal.SIGINT)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point; a FedleakError becomes one message and an exit code."""
    signals = _Signals()
    try:
        app(arguments, standalone_mode=True)
    except FedleakError as error:
        prefix = "error: "
        for line in str(error).splitlines():
            Console(stderr=True, soft_wrap=True).print(prefix + line, style="red", highlight=False, markup=False)
        sys.exit(error.exit_code)
    except SystemExit as error:
        if error.code != INTERRUPTED:
            raise
        words = "terminated" if signals.terminated else "interrupted"
        Console(stderr=True).print(f"{words}; finished work is kept, the same command continues it", style="yellow")
        sys.exit(signals.exit_code)


if __name__ == "__main__":
    main()
