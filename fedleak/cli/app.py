"""The command line application and its main commands."""

from __future__ import annotations

import importlib
import json
import shlex
import signal
import sys
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from fedleak.cli import audit as cli_audit
from fedleak.cli import deployment as cli_deployment
from fedleak.cli import doctor as cli_doctor
from fedleak.cli import export as cli_export
from fedleak.cli import imports as cli_imports
from fedleak.cli import labels as cli_labels
from fedleak.cli import results as cli_results
from fedleak.cli import runs as cli_runs
from fedleak.cli import serve as cli_serve
from fedleak.cli import studies as cli_studies
from fedleak.cli import transcripts as cli_transcripts
from fedleak.cli.failures import failures_as_messages
from fedleak.cli.options import BudgetOption, JsonOption, QuietOption, ScenarioFile, SetOption
from fedleak.cli.output import progress_on_terminal, say
from fedleak.version import __version__

app = typer.Typer(
    name="fedleak",
    help="Simulate and measure gradient leakage in federated learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    suggest_commands=False,  # click does it itself
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli_runs.register(app)
cli_studies.register(app)
cli_results.register(app)
cli_export.register(app)
cli_serve.register(app)
cli_audit.register(app)


def _version(show: bool) -> None:
    if show:
        say(f"fedleak {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Simulate and measure gradient leakage in federated learning."""


@app.command()
def validate(
    scenario: ScenarioFile,
    set_: SetOption = None,
    budget: BudgetOption = None,
    data: Annotated[bool, typer.Option("--data", help="Also load and partition the data set.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the resolved scenario.")] = False,
) -> None:
    """Check a scenario or a study without running it.

    SCENARIO is a YAML file, the name of a shipped scenario or study, or the directory of a run or study.
    """
    from fedleak.cli.places import source_of
    from fedleak.scenario.file import load_scenario, to_yaml
    from fedleak.scenario.reader import read_yaml
    from fedleak.studies.study import check_budgets, is_study, load_study, resolved_text

    found, _ = source_of(scenario, None, option="SCENARIO")
    if is_study(read_yaml(found)):
        study = load_study(found, overrides=set_ or (), budget=budget)
        if budget is None and not set_:
            check_budgets(found)
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
        say(text)
    say(f"{scenario}: valid{size}" + (", and its data fit" if data else ""))


@app.command("list")
def list_kinds(
    given: Annotated[str | None, typer.Argument(metavar="FAMILY", show_default="every family")] = None,
) -> None:
    """List the kinds of every family: attacks, data sets, models ... and those of other packages, which it imports.

    FAMILY is the name of one family, such as attack or attacks.
    """
    from fedleak.cli.kinds import EVERY_FAMILY, kinds_of, named_family, plugin_lines
    from fedleak.threat import CAPABILITIES

    family = None if given is None else named_family(given)
    table = Table(box=None, pad_edge=False)
    for heading in ("family", "kind", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for name in EVERY_FAMILY if family is None else [f for f in EVERY_FAMILY if f == family]:
        for kind, component in kinds_of(name).items():
            table.add_row(name, kind, component.summary())
        for kind, text in plugin_lines(name):
            table.add_row(name, kind, text)
    if family in (None, "capability"):
        for kind, capability in CAPABILITIES.items():
            table.add_row("capability", kind, f"{capability.summary()} ({_level(capability.level)})")
    Console(markup=False).print(table)


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
    what: Annotated[Benchmark, typer.Argument(metavar="WHAT")],
    as_json: JsonOption = False,
    images: Annotated[
        Path | None,
        typer.Option(help="inversion: folder of photographs, such as CIFAR-10.", show_default="generated images"),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure speed and memory on this machine.

    WHAT is pairs, federation, averaging, training, inversion, postprocess or igsa.
    """
    from fedleak.errors import InputError

    if images is not None and what != Benchmark.INVERSION:
        raise InputError("--images", str(images), "only the benchmark inversion uses photographs")
    options = {} if images is None else {"images": images}
    module = importlib.import_module(f"fedleak.bench.{what.value}")
    with progress_on_terminal(quiet=quiet) as progress:
        measured: dict[str, float] = module.measure(progress, **options)
    if as_json:
        say(json.dumps(measured))
        return
    for name, value in measured.items():
        say(f"{name:<24} {value:,.4g}")


cli_deployment.register(app)
cli_doctor.register(app)
cli_labels.register(app)
cli_imports.register(app)
cli_transcripts.register(app)

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
    """Entry point; an error that a user can do something about becomes one message and an exit code."""
    signals = _Signals()
    try:
        with failures_as_messages():
            app(arguments, standalone_mode=True, prog_name="fedleak")
    except SystemExit as error:
        if error.code != INTERRUPTED:
            raise
        words = "terminated" if signals.terminated else "interrupted"
        again = shlex.join(part for part in ("fedleak", *(arguments or sys.argv[1:])) if part != "--force")
        text = f"{words}; finished work is kept, the same command continues it: {again}"
        Console(stderr=True, soft_wrap=True).print(text, style="yellow", highlight=False, markup=False)
        sys.exit(signals.exit_code)


if __name__ == "__main__":
    main()
