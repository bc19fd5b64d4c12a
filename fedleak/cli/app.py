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
from fedleak.cli import docs as cli_docs
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
from fedleak.cli.output import progress_on_terminal, say, wide_console
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
    show: Annotated[bool, typer.Option("--show", help="Print the file with every default.")] = False,
) -> None:
    """Check a scenario or a study without running it.

    SCENARIO is a YAML file, the name of a shipped scenario or study, or the directory of a run or study.
    """
    from fedleak.cli.places import source_of
    from fedleak.scenario.file import load_scenario
    from fedleak.scenario.reader import read_yaml
    from fedleak.scenario.shown import scenario_with_defaults
    from fedleak.studies.resolved import study_with_defaults
    from fedleak.studies.study import check_budgets, is_study, load_study

    found, _ = source_of(scenario, None, option="SCENARIO")
    if is_study(read_yaml(found)):
        study = load_study(found, overrides=set_ or (), budget=budget)
        if budget is None and not set_:
            check_budgets(found)
        checked = list({cell.federation: cell.scenario for cell in study.cells}.values())
        text, size = study_with_defaults(study) if show else "", f", {len(study.keys)} cells"
    else:
        checked = [load_scenario(found, overrides=set_ or (), budget=budget)]
        text, size = scenario_with_defaults(checked[0]) if show else "", ""
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
    kind_: Annotated[str | None, typer.Argument(metavar="KIND", show_default="every kind")] = None,
) -> None:
    """List the kinds of every family (attacks, data sets ...) and of other packages, or the settings of one kind.

    FAMILY is the name of one family, such as attack or attacks. With a KIND, such as gias, it prints what this kind is,
    what the adversary must know for it, and every setting with its default.
    """
    from fedleak.cli.kind_page import kind_page, named_kind
    from fedleak.cli.kinds import EVERY_FAMILY, kind_rows, named_family
    from fedleak.scenario.described import level_text
    from fedleak.threat import CAPABILITIES

    family = None if given is None else named_family(given)
    if family is not None and kind_ is not None:
        console = wide_console()
        for part in kind_page(family, named_kind(family, kind_)):
            console.print(part)
            console.print()
        return
    rows = [row for name in EVERY_FAMILY if family in (None, name) for row in kind_rows(name)]
    if family in (None, "capability"):
        rows += [("capability", kind, f"{c.summary()} ({level_text(c)})") for kind, c in CAPABILITIES.items()]
    table = Table(box=None, pad_edge=False)
    for heading in ("family", "kind", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)


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
cli_docs.register(app)
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
