"""``RESULTS.md`` of a paper's folder, made from its ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from fedleak.errors import InputError
from fedleak.records import write_atomically
from fedleak.studies.current import CurrentStudy, current_study, study_files
from fedleak.studies.ledger import FOLDER, KeptRun, LedgerEntry, load_ledger
from fedleak.studies.report.ledger_numbers import number_tables
from fedleak.studies.report.ledger_verdicts import verdict_lines
from fedleak.studies.report.markdown import text

RESULTS_MD = "RESULTS.md"
NOTES_MD = "NOTES.md"
COMMAND = "fedleak results write"


def paper_folders(folder: Path) -> tuple[Path, ...]:
    """``folder`` if it has a ledger, else the folders in it that have one.

    Raises:
        InputError: if there is none.
    """
    if not folder.is_dir():
        raise InputError("FOLDER", str(folder), "there is no such folder")
    if (folder / FOLDER).is_dir():
        return (folder,)
    found = tuple(sorted(path.parent for path in folder.glob(f"*/{FOLDER}") if path.is_dir()))
    if not found:
        raise InputError("FOLDER", str(folder), f"no ledger there; 'fedleak results keep' makes one in {FOLDER}/")
    return found


def write_results(folder: Path) -> Path:
    """Write ``RESULTS.md`` of a paper's folder, and return its path.

    Raises:
        InputError: if a file of the ledger or a study is not valid.
    """
    path = folder / RESULTS_MD
    write_atomically(path, render_results(folder))
    return path


def render_results(folder: Path) -> str:
    """The content of ``RESULTS.md``; the same ledger and studies give the same text.

    Raises:
        InputError: if a file of the ledger or a study is not valid.
    """
    runs = sorted(load_ledger(folder), key=_by_study_and_time)
    files, methods = study_files(folder), list(dict.fromkeys(run.entry.method for run in runs))
    lines = [*_head(folder, methods)]
    for name, group in groupby(runs, key=lambda run: run.entry.study):
        lines += _study(name, list(group), files.get(name), methods)
    return "\n".join(lines).rstrip("\n") + "\n"


def _by_study_and_time(run: KeptRun) -> tuple[str, ...]:
    return run.entry.study, run.entry.date, run.entry.finished or "", run.path.name


def _head(folder: Path, methods: Sequence[str]) -> Iterator[str]:
    yield f"# Results: {folder.resolve().name}"
    yield ""
    notes = f" Settings and explanations are in [{NOTES_MD}]({NOTES_MD})." if (folder / NOTES_MD).is_file() else ""
    kept = f"[{FOLDER}/]({FOLDER}), whose files are added and never changed"
    yield f"`{COMMAND}` makes this file from the runs in {kept}.{notes}"
    yield ""
    yield "Ways in which intervals and verdicts were made:"
    yield ""
    for number, method in enumerate(methods, 1):
        yield f"{number}. {text(method)}"
    yield ""


def _study(name: str, runs: list[KeptRun], file: Path | None, methods: Sequence[str]) -> Iterator[str]:
    yield f"## {text(name)}"
    yield ""
    studies = {budget: _current(file, budget) for budget in dict.fromkeys(run.entry.budget for run in runs)}
    described = next((study for study in studies.values() if study is not None), None)
    if described is not None and described.description:
        yield f"{text(described.description)}"
    source = next((run.entry.published_source for run in reversed(runs) if run.entry.published_source), "")
    source = source or (described.published.source if described else "")
    if source:
        yield f"Published: {text(source)}."
    if described is None:
        yield "The study is no longer shipped."
    yield ""
    yield from verdict_lines(runs, studies, methods)
    for run in reversed(runs):
        yield from _run(run, studies[run.entry.budget])


def _current(file: Path | None, budget: str | None) -> CurrentStudy | None:
    return None if file is None else current_study(file, budget)


def _run(run: KeptRun, today: CurrentStudy | None) -> Iterator[str]:
    entry = run.entry
    where = f"{_budget(entry.budget)}, {entry.commit or 'commit unknown'}" + ", withdrawn" * bool(run.withdrawal)
    yield f"### {text(entry.study)}, {entry.date}, {where}"
    yield ""
    if run.withdrawal:
        yield f"**Withdrawn on {run.withdrawal.date}:** {text(run.withdrawal.reason)}"
        yield ""
    yield f"{_facts(run)} [File]({FOLDER}/{entry.study}/{run.path.name})."
    yield ""
    notes = [*entry.notes, *_changes(entry, today)]
    yield from (f"- {text(note)}" for note in notes)
    if notes:
        yield ""
    yield from number_tables(entry)


def _changes(entry: LedgerEntry, today: CurrentStudy | None) -> Iterator[str]:
    if entry.settings is None or today is None:
        return
    blocks = today.differences(entry.settings)
    if blocks:
        yield f"its settings differ from those of the study today: {', '.join(blocks)}"


def _budget(budget: str | None) -> str:
    return "no budget" if budget is None else f"budget `{budget}`"


def _facts(run: KeptRun) -> str:
    entry = run.entry
    parts = ["Entered from the history" if entry.source == "history" else f"fedleak {entry.fedleak}"]
    parts.append("seeds unknown" if entry.seeds is None else f"seeds {', '.join(map(str, entry.seeds))}")
    for machine in entry.machines or ():
        gpus = f", {', '.join(machine.gpus)}" if machine.gpus else ", no GPU"
        memory = "" if machine.memory_gib is None else f", {machine.memory_gib:g} GiB"
        parts.append(f"{machine.cores} cores{memory}{gpus}")
    if entry.cell_seconds is not None:
        parts.append(f"cells {entry.cell_seconds / 60:.1f} minutes")
    if entry.duration:
        parts.append(entry.duration)
    if len(entry.commits) > 1:
        parts.append(f"cells by the commits {', '.join(entry.commits)}")
    if entry.judged_by not in (None, entry.commit):
        parts.append(f"judged by the code of {entry.judged_by}")
    return text("; ".join(parts)) + "."
