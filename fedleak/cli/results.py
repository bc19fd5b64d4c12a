"""The commands of the ledger: keep a study run, withdraw one, and write ``RESULTS.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedleak.cli.output import say

results = typer.Typer(
    name="results", help="Keep study runs in the ledger and write RESULTS.md from it.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(results)


@results.command()
def keep(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR")],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="Folder of the paper.", show_default="that of the shipped study"),
    ] = None,
) -> None:
    """Add a finished study to the ledger: settings, scores, verdicts, machine and commit.

    STUDY_DIR is the directory of the study. The file is FOLDER/results/STUDY/DATE-BUDGET-COMMIT.json; one that exists
    is never replaced. Paths and addresses in the settings are left out.
    """
    from fedleak.cli.places import check_study
    from fedleak.studies.keep import make_entry, paper_folder
    from fedleak.studies.ledger import add_entry

    check_study(study_dir)
    entry = make_entry(study_dir)
    say(add_entry(into or paper_folder(entry.study), entry))


@results.command()
def withdraw(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why the run no longer counts.")],
) -> None:
    """Say beside a kept run that it no longer counts; it stays, and RESULTS.md shows it as withdrawn.

    FILE is a file of the ledger.
    """
    from fedleak.studies import ledger

    say(ledger.withdraw(file, reason))


@results.command()
def write(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", show_default="the shipped studies")] = None,
) -> None:
    """Write the RESULTS.md of each paper's folder from its ledger, and the table of all findings.

    FOLDER is the folder of a paper, or one that holds such folders; the table stands in the README.md of the latter.
    """
    from fedleak.scenario.shipped import shipped_folder
    from fedleak.studies.report.findings import write_findings
    from fedleak.studies.report.ledger import paper_folders, write_results

    papers = paper_folders(folder or shipped_folder())
    for paper in papers:
        say(write_results(paper))
    if papers != (folder,) and (table := write_findings(folder or shipped_folder(), papers)):
        say(table)
