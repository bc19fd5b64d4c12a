"""Options that several commands share. Arguments are explained in the docstrings of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a setting; repeatable. List items by number or id."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Directory to write to.", show_default="runs/<name>-<hash>")
]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="One of the budgets in the file.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Override the seed.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Device of the attack stage: auto, cpu, cuda ...", show_default="the file's"),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what the directory holds from an earlier run.")]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="KIND[=TARGET]",
        help="Also log to tensorboard=DIR, mlflow=URI or wandb=DIR; repeatable.",
        show_default="none",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no table: print the path of the result.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
