"""Values for the template of a study's report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedleak.report.page import Tile
from fedleak.report.pictures import Pair, make_pair
from fedleak.report.terms import TERMS, Term
from fedleak.results.format import DASH, count, duration, metric_value, plural
from fedleak.results.schema import PICTURES
from fedleak.studies.claims.base import ClaimCheck, ClaimVerdict, VerdictState
from fedleak.studies.matrix import describe, label_text
from fedleak.studies.records import load_cell
from fedleak.studies.report.answer import Answer, answers
from fedleak.studies.report.figure import StudyFigure, draw_study
from fedleak.studies.report.table import Number, PairedRow, StudyTable, paired_rows, study_table
from fedleak.studies.results import CellLine, StudyResults
from fedleak.version import __version__

MOST_PICTURE_ROWS = 48
PICTURES_IN_ROW = 6
CHECKS_SHOWN = 60
STATES: dict[VerdictState, str] = {
    "reproduced": "reproduced",
    "not_reproduced": "not reproduced",
    "inconclusive": "inconclusive",
    "nothing_leaked": "nothing leaked",
}
TONES: dict[VerdictState, str] = {
    "reproduced": "holds",
    "not_reproduced": "leaks",
    "inconclusive": "unclear",
    "nothing_leaked": "unclear",
}


@dataclass(frozen=True)
class ClaimRow:
    """Verdict on one claim, formatted."""

    statement: str
    state: str
    tone: str
    hints: tuple[str, ...]
    checks: tuple[tuple[str, Number, str], ...]
    """Label, margin above zero and state of each check."""
    more: int


@dataclass(frozen=True)
class PictureRow:
    """Median pictures of one attack in one cell."""

    name: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class CellRow:
    """One cell; ``report`` is empty if there is none."""

    labels: tuple[str, ...]
    seed: int
    status: str
    seconds: str
    report: str
    reason: str
    log_tail: str


@dataclass(frozen=True)
class StudyPage:
    """All values that the template shows."""

    name: str
    description: str
    tone: str
    sentence: str
    answers: tuple[Answer, ...]
    tiles: tuple[Tile, ...]
    claims: tuple[ClaimRow, ...]
    table: StudyTable
    paired: tuple[PairedRow, ...]
    source: str
    figure: StudyFigure | None
    pictures: tuple[PictureRow, ...]
    pictures_left_out: int
    cells: tuple[CellRow, ...]
    failures: tuple[CellRow, ...]
    notes: tuple[str, ...]
    study: str
    terms: tuple[Term, ...]
    version: str


def make_study_page(results: StudyResults, root: Path) -> StudyPage:
    """Assemble the page.

    Raises:
        InputError: if a picture's name points outside the folder of pictures.
    """
    cells = tuple(_cell(cell, results.axes, root) for cell in results.cells)
    tone, sentence = sentence_of(results.verdicts)
    pictures, left_out = _pictures(results, root)
    return StudyPage(
        name=results.name,
        description=results.description,
        tone=tone,
        sentence=sentence,
        answers=answers(results, root),
        tiles=_tiles(results),
        claims=tuple(map(_claim, results.verdicts)),
        table=study_table(results),
        paired=paired_rows(results),
        source=". ".join(text.rstrip(".") for text in (results.source, results.setting) if text),
        figure=draw_study(results),
        pictures=pictures,
        pictures_left_out=left_out,
        cells=cells,
        failures=tuple(cell for cell in cells if cell.status == "failed"),
        notes=results.notes,
        study=results.study,
        terms=TERMS,
        version=__version__,
    )


def sentence_of(verdicts: tuple[ClaimVerdict, ...]) -> tuple[str, str]:
    """Tone and text of the verdicts in one sentence."""
    states = [verdict.state for verdict in verdicts]
    if not states:
        return "unclear", "This study makes no claims."
    held = states.count("reproduced")
    if held == len(states):
        return "holds", "Every claim is reproduced." if held > 1 else "The claim is reproduced."
    counts = [f"{states.count(state)} {STATES[state]}" for state in STATES if state in states]
    return (
        "leaks" if "not_reproduced" in states else "unclear"
    ), f"Of {plural(len(states), 'claim')}: {', '.join(counts)}."


def _tiles(results: StudyResults) -> tuple[Tile, ...]:
    done = sum(cell.status == "ok" for cell in results.cells)
    seconds = [cell.seconds for cell in results.cells if cell.seconds is not None]
    return (
        Tile("Cells done", f"{count(done)} of {count(len(results.cells))}"),
        Tile("Federations", count(results.federations)),
        Tile("Seeds", count(len(results.seeds))),
        Tile("Images scored", count(sum(line.images for line in results.lines if not line.is_baseline))),
        Tile("Budget", results.budget or DASH),
        Tile("Time in cells", duration(sum(seconds)) if seconds else DASH),
        Tile("Mean per cell", duration(sum(seconds) / len(seconds)) if seconds else DASH),
        Tile("Failed cells", count(sum(cell.status == "failed" for cell in results.cells))),
    )


def _claim(verdict: ClaimVerdict) -> ClaimRow:
    shown = verdict.checks[:CHECKS_SHOWN]
    return ClaimRow(
        statement=verdict.statement,
        state=STATES[verdict.state],
        tone=TONES[verdict.state],
        hints=verdict.hints[:3],
        checks=tuple((check.label, _margin(check), STATES[check.state]) for check in shown),
        more=len(verdict.checks) - len(shown),
    )


def _margin(check: ClaimCheck) -> Number:
    if check.value is None:
        return Number(DASH)
    if check.low is None or check.high is None:
        return Number(metric_value("", check.value))
    return Number(metric_value("", check.value), f"[{metric_value('', check.low)}, {metric_value('', check.high)}]")


def _cell(cell: CellLine, axes: tuple[str, ...], root: Path) -> CellRow:
    report = f"cells/{cell.key}/report.html"
    return CellRow(
        labels=tuple(label_text(cell.point[axis]) for axis in axes),
        seed=cell.seed,
        status="done" if cell.status == "ok" else cell.status,
        seconds=duration(cell.seconds),
        report=report if cell.status == "ok" and (root / report).is_file() else "",
        reason=cell.reason,
        log_tail="\n".join(cell.log_tail),
    )


def _pictures(results: StudyResults, root: Path) -> tuple[tuple[PictureRow, ...], int]:
    """Picture rows of the first seed, one per cell and attack, and the number of rows left out."""
    rows: list[PictureRow] = []
    first = [cell for cell in results.cells if cell.status == "ok" and cell.seed == results.seeds[0]]
    attacks = {line.attack for line in results.lines if not line.is_baseline}
    for cell in first[:MOST_PICTURE_ROWS]:
        folder = root / "cells" / cell.key
        record = load_cell(folder)
        for measured in record.attacks if record else ():
            if measured.pictures and measured.attack in attacks and len(rows) < MOST_PICTURE_ROWS:
                pairs = tuple(make_pair(folder / PICTURES, p) for p in measured.pictures[:PICTURES_IN_ROW])
                rows.append(PictureRow(", ".join(t for t in (measured.attack, describe(cell.point)) if t), pairs))
    return tuple(rows), max(0, len(first) * len(attacks) - len(rows))
