"""The commands for federations that fedleak does not run: record a Flower app, write a scenario for an audit."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedleak.cli.audit_init import init
from fedleak.cli.options import ForceOption, QuietOption
from fedleak.cli.output import progress_on_terminal, say, starting

if TYPE_CHECKING:
    from fedleak.audit.app_run import AppFacts

audit = typer.Typer(name="audit", help="Audit a federation of your own.", no_args_is_help=True)
MESSAGES = "recording/messages.jsonl"


class Replies(StrEnum):
    """What clients send back."""

    AUTO = "auto"
    WEIGHTS = "weights"
    DELTA = "delta"
    GRADIENT = "gradient"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    audit.command()(init)
    app.add_typer(audit)


@dataclass(frozen=True)
class RecordRequest:
    """The app or recording, and the options of ``fedleak audit record``."""

    source: Path
    out: Path
    flwr: tuple[str, ...]
    truth: bool
    force: bool
    quiet: bool


@audit.command()
def record(
    app_dir: Annotated[Path, typer.Argument(metavar="APP_DIR")],
    superlink: Annotated[
        str | None, typer.Argument(metavar="SUPERLINK", help="Connection, as for 'flwr run'.", show_default="Flower's")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Directory to write to.", show_default="audit")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODULE:NAME", help="Class or function of the app that builds its network."),
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also record the clients' images, for scores; only in simulation.")
    ] = False,
    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", metavar="C,H,W", help="Of one image.", show_default="what the network takes"),
    ] = None,
    classes: Annotated[int | None, typer.Option(min=2, show_default="the network's outputs")] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="The network takes (pixel - mean) / std.", show_default="0.5")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="NUMBERS", show_default="0.5")] = None,
    replies: Annotated[Replies, typer.Option(help="What clients send back.")] = Replies.AUTO,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of clients' local steps.", show_default="the app's settings")
    ] = None,
    local_epochs: Annotated[int | None, typer.Option(min=1, show_default="the app's settings")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, show_default="the app's settings")] = None,
    momentum: Annotated[float | None, typer.Option(min=0, max=1, help="Of clients' SGD.")] = None,
    run_config: Annotated[
        list[str] | None, typer.Option("--run-config", "-c", help="As for 'flwr run'; repeatable.")
    ] = None,
    federation_config: Annotated[
        list[str] | None, typer.Option("--federation-config", help="As for 'flwr run'; repeatable.")
    ] = None,
    federation: Annotated[str | None, typer.Option("--federation", help="As for 'flwr run'.")] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a Flower app with a recorder around it, and make a run of it that can be attacked.

    APP_DIR is the folder of the app, of which no line is changed; or a directory with a recording, of which the run is
    made. The network comes from --model; its code runs only if the environment variable FEDLEAK_TRUSTED_FACTORIES names
    it. Without --model, the recording is kept.
    """
    named = {"--run-config": run_config, "--federation-config": federation_config}
    options = [part for name, values in named.items() for value in values or () for part in (name, value)]
    options += ["--federation", federation] if federation else []
    flwr = (*([superlink] if superlink else []), *options)
    continued = (app_dir / MESSAGES).is_file()
    request = RecordRequest(app_dir, out or (app_dir if continued else Path("audit")), flwr, truth, force, quiet)
    with starting(f"audit of {app_dir}", quiet=quiet):
        from fedleak.audit.app_run import AppFacts
        from fedleak.audit.observed import LocalSettings

        settings = LocalSettings(learning_rate, local_epochs, batch_size)
        settings = settings if momentum is None else replace(settings, sgd={"momentum": momentum})
        facts = None
        if model is not None:
            norm = _numbers("--mean", mean), _numbers("--std", std)
            facts = AppFacts(model, _shape(input_shape), classes, *norm, replies.value, settings)
    if not continued:
        _record_app(request, facts)
    _make_run(request, facts)


def _record_app(request: RecordRequest, facts: AppFacts | None) -> None:
    """Run the app with the recorder, after a check of everything that can be checked before."""
    from fedleak.audit.flower_app import LOG, FlowerApp, record_app
    from fedleak.audit.probing import network_of
    from fedleak.errors import InputError
    from fedleak.run_directory import RECORDING, RunDirectory

    app = FlowerApp.read(request.source)
    if facts is not None:
        _import_from(request.source)
        network_of(facts.model)
    run, recording = RunDirectory(request.out), request.out / RECORDING
    present = {path.name for path in request.out.iterdir()} if request.out.is_dir() else set()
    if (RECORDING in present or "scenario.yaml" in present) and not request.force:
        raise InputError("--out", str(request.out), "it holds a recording or a run; --force replaces it")
    with run.lock():
        if request.force:
            shutil.rmtree(recording, ignore_errors=True)
            run.clear()
        recording.mkdir(parents=True, exist_ok=True)
        log = recording / LOG if request.quiet else None
        recorded = record_app(app, recording, request.flwr, truth=request.truth, log=log)
    if not request.quiet:
        replies = sum(not reply.error for reply in recorded.replies.values())
        say(f"recorded: {len(recorded.sent)} training messages, {replies} replies, in {recording}")


def _make_run(request: RecordRequest, facts: AppFacts | None) -> None:
    """Make a run of the recording, or say which command does."""
    from fedleak.audit.app_run import write_app_run
    from fedleak.audit.recorded import Recorded
    from fedleak.errors import FedleakError
    from fedleak.models.factory import CONSENT
    from fedleak.run_directory import RECORDING

    recorded = Recorded.read(request.out / RECORDING)
    fresh = (request.source / "pyproject.toml").is_file()
    code = f"PYTHONPATH={shlex.quote(str(request.source.resolve()))} " if fresh else ""
    out, name = shlex.quote(str(request.out)), "MODULE:NAME" if facts is None else facts.model
    again = f"{code}{CONSENT}={name} fedleak audit record {out} --model {name}"
    if facts is None:
        line = f"the recording is kept; once you trust the code of the app's network, this makes a run of it: {again}"
        say(request.out if request.quiet else line)
        return
    _import_from(request.source)
    try:
        with progress_on_terminal(quiet=request.quiet) as progress:
            title = request.source.resolve().name if fresh else "audit"
            write_app_run(recorded, facts, request.out, name=title, force=request.force, progress=progress)
    except FedleakError:
        if fresh:
            typer.echo(f"the recording is kept, and this continues with it: {again}", err=True)
        raise
    attack = f"{code}{CONSENT}={name} fedleak attack {out}"
    say(request.out if request.quiet else f"run: {request.out}; attack it: {attack}")


def _import_from(folder: Path) -> None:
    """Let modules in a folder be imported, also by the process that attacks run in."""
    if str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    """Numbers separated by commas; none without a text."""
    from fedleak.errors import InputError

    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        raise InputError(option, text, "expected numbers separated by commas, such as 0.5,0.5,0.5") from None


def _shape(text: str | None) -> tuple[int, ...] | None:
    from fedleak.errors import InputError

    numbers = _numbers("--input-shape", text)
    if text is None:
        return None
    if len(numbers) != 3 or any(number != int(number) or number < 1 for number in numbers):
        raise InputError("--input-shape", text, "expected channels,height,width, such as 3,32,32")
    return tuple(int(number) for number in numbers)
