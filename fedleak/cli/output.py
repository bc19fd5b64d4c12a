"""Printing of progress and results on the terminal.

With ``--quiet`` a command prints one line to standard output, the path of its result; failures go to standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fedleak.progress import Progress, QuietProgress, terminal_progress

if TYPE_CHECKING:
    from fedleak.studies.results import CellLine, StudyResults

WIDTH = 200
"""Columns of tables that are not printed on a terminal."""
TONES = {"leaks": "red", "unclear": "yellow", "holds": "green"}
"""Tone of a verdict -> style of its lines."""


@contextmanager
def starting(what: str, *, quiet: bool = False, line: bool = True) -> Iterator[None]:
    """Show that ``what`` starts while modules are imported and files checked, which takes seconds.

    Args:
        what: is shown with a spinner on a terminal, as a line elsewhere.
        quiet: show nothing.
        line: print a line where there is no terminal.
    """
    console = Console(stderr=True, markup=False, highlight=False)
    if quiet or not (console.is_terminal or line):
        yield
    elif console.is_terminal:
        with console.status(f"{what}: loading"):
            yield
    else:
        console.print(f"{what}: loading", soft_wrap=True)
        yield


@contextmanager
def progress_on_terminal(*, quiet: bool) -> Iterator[Progress]:
    """Progress on standard error."""
    if quiet:
        yield QuietProgress()
        return
    with terminal_progress(Console(stderr=True)) as progress:
        yield progress


def say(text: object) -> None:
    """Print one line as it is."""
    Console(soft_wrap=True).print(str(text), highlight=False, markup=False)


def wide_console() -> Console:
    """The terminal, or a wide page if the output goes elsewhere. Brackets in names are no markup."""
    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(width=WIDTH, markup=False, highlight=False)


def print_run(root: Path, *, quiet: bool = False) -> None:
    """The table of a finished run, its notes and the path of its report."""
    from fedleak.cli.tables import results_table
    from fedleak.report.answer import answer_lines
    from fedleak.report.verdict import decide
    from fedleak.results.schema import load_results

    report = root / "report.html"
    if quiet:
        say(report)
        return
    results, console = load_results(root), wide_console()
    console.print(results_table(results, width=console.width))
    for note in results.notes:
        console.print(f"note: {note}")
    verdict = decide(results)
    for line in verdict.lines:
        console.print(line, style=TONES[verdict.tone], soft_wrap=True)
    for title, text in answer_lines(results, verdict):
        console.print(f"{title}: {text}", soft_wrap=True)
    say(f"report: {report}")


def print_study(results: StudyResults, root: Path, *, quiet: bool = False) -> None:
    """The table of a study, its failed cells, notes and verdicts, and the path of its report."""
    from fedleak.cli.study_tables import lines_table, verdicts_text
    from fedleak.studies.report.answer import answers

    report, console = root / "report.html", wide_console()
    failed = [cell for cell in results.cells if cell.status == "failed"]
    if not quiet:
        console.print(lines_table(results))
    _print_failures(failed, Console(stderr=True, soft_wrap=True, markup=False, highlight=False) if quiet else console)
    if quiet:
        say(report)
        return
    for note in results.notes:
        console.print(f"note: {note}")
    console.print(verdicts_text(results), end="")
    for answer in answers(results, root):
        for title, text in answer.lines:
            console.print(
                f"{title}: {text}", style=TONES[answer.tone] if title == "What leaks" else None, soft_wrap=True
            )
    say(f"report: {report}")


def _print_failures(failed: list[CellLine], console: Console) -> None:
    from fedleak.studies.matrix import describe

    for cell in failed:
        lines = "".join(f"\n    {line}" for line in cell.log_tail)
        text = f"failed: {describe(cell.point)} seed {cell.seed}: {cell.reason}{lines}"
        console.print(text, style="red")
