"""The command ``import``, which makes a run directory of a user's saved updates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fedleak.cli.options import ForceOption, QuietOption
from fedleak.cli.output import progress_on_terminal, say, starting

if TYPE_CHECKING:
    from fedleak.audit.observed import BatchNormMode, LocalSettings, ObservedFederation


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("import")(import_updates)


def import_updates(
    model: Annotated[
        str,
        typer.Option(
            metavar="MODULE:FUNCTION|KIND", help="Builds the network: your code, or a kind with its settings."
        ),
    ],
    classes: Annotated[int, typer.Option(min=2, help="Classes, outputs of the network.")],
    input_shape: Annotated[str, typer.Option(metavar="C,H,W", help="Shape of an image.")] = "3,32,32",
    updates: Annotated[
        list[Path] | None,
        typer.Option(
            "--updates", metavar="FILE", help="One update in each; further ones may follow.", show_default="-"
        ),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", show_default=False)] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="gradient|delta|weights", help="What they are.", show_default="pairs before, after"),
    ] = None,
    broadcast: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights on which they were computed.", show_default="in pairs: before"),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Images and labels behind each; repeatable.", show_default="no scores"),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Images and labels of the attacker's own.", show_default="no baselines"),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Images behind each update.", show_default="as in --truth")
    ] = None,
    mean: Annotated[str, typer.Option(metavar="X[,X,X]", help="Mean that the input subtracts from [0, 1].")] = "0.5",
    std: Annotated[str, typer.Option(metavar="X[,X,X]", help="Deviation by which it divides.")] = "0.5",
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Of the client's local steps.", show_default="unknown")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the client.", show_default="unknown")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in a local step.", show_default="unknown")
    ] = None,
    momentum: Annotated[float, typer.Option(min=0, max=0.999, help="Of the local SGD.")] = 0.0,
    batch_norm: Annotated[
        str | None,
        typer.Option(
            metavar="eval|train_shared|train_local",
            help="Mode of normalisation while clients train, and whether they share its buffers.",
            show_default="by the model and the updates",
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="A kind, or YAML with its settings; repeatable.", show_default="by what is known"
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name in the report.")] = "import",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the attacks.")] = 0,
    out: Annotated[Path | None, typer.Option(help="New directory.", show_default="runs/<name>")] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a run directory of your own saved updates, which 'fedleak attack' then attacks.

    FILE is .pt (tensors only), .safetensors or .npz: gradients, deltas or weights, by name or in the model's order; or
    weights 'before' and 'after'. MODULE:FUNCTION is imported if FEDLEAK_TRUSTED_FACTORIES lists it.
    """
    with starting(f"import of {model}", quiet=quiet):
        from fedleak.audit.importing import KINDS, SavedUpdates
        from fedleak.audit.observed import LocalSettings
        from fedleak.audit.recording import write_observed_run
        from fedleak.errors import InputError

        if kind not in (None, *KINDS):
            raise InputError("--kind", kind, f"expected one of {', '.join(KINDS)}")
        saved = SavedUpdates([*(updates or ()), *(more or ())], kind, broadcast, truth or (), samples)
        modes = ("eval", "train_shared", "train_local")
        if batch_norm not in (None, *modes):
            raise InputError("--batch-norm", batch_norm, f"expected one of {', '.join(modes)}")
        sgd = {"momentum": momentum} if momentum else None
        local = LocalSettings(
            learning_rate, epochs, batch_size, sgd, batch_norm=cast("BatchNormMode | None", batch_norm)
        )
        about = _federation(model, input_shape, classes, mean, std, local, public)
        chosen = [_component(each, "--attack") for each in attack or ()]
    with progress_on_terminal(quiet=quiet) as progress:
        run = write_observed_run(
            saved.observations(progress),
            about,
            out or Path("runs") / name,
            attacks=[{"kind": each} if isinstance(each, str) else each for each in chosen],
            name=name,
            seed=seed,
            strict=True,
            force=force,
            progress=progress,
        )
    say(run.root if quiet else f"imported: {run.root}; next: fedleak attack {run.root}")


def _federation(
    model: str, shape: str, classes: int, mean: str, std: str, local: LocalSettings, public: Path | None
) -> ObservedFederation:
    from fedleak.audit.importing import read_batch
    from fedleak.audit.observed import ObservedFederation
    from fedleak.audit.truth_folder import stored_batch

    size = tuple(int(value) for value in _numbers(shape, "--input-shape", whole=True))
    return ObservedFederation(
        model=model if ":" in model and "{" not in model else _component(model, "--model"),
        input_shape=size,
        classes=classes,
        mean=_numbers(mean, "--mean"),
        std=_numbers(std, "--std"),
        training=local,
        public=stored_batch(read_batch(public, option="--public"), size, classes) if public is not None else None,
    )


def _numbers(text: str, option: str, *, whole: bool = False) -> tuple[float, ...]:
    from fedleak.errors import InputError

    try:
        return tuple((int if whole else float)(value) for value in text.split(","))
    except ValueError:
        what = "whole numbers" if whole else "numbers"
        raise InputError(option, text, f"expected {what} with commas between them") from None


def _component(text: str, option: str) -> Any:
    """A kind, or a mapping with its settings."""
    import yaml

    from fedleak.errors import InputError
    from fedleak.scenario.loader import RefusedYamlError
    from fedleak.scenario.reader import parse_yaml

    try:
        found = parse_yaml(text)
    except (RefusedYamlError, yaml.YAMLError) as error:
        raise InputError(option, text, f"not valid YAML ({error})") from error
    if not isinstance(found, str | dict):
        raise InputError(option, text, "expected a kind, or a mapping such as {kind: mlp, hidden: [64]}")
    return {"kind": found} if isinstance(found, str) else found
