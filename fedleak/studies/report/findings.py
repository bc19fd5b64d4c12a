"""One table over all findings, in the README of the folder of all studies; made from the ledgers of its papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedleak.errors import InputError
from fedleak.records import naming, write_atomically
from fedleak.results.schema import Interval
from fedleak.scenario.reader import read_yaml
from fedleak.studies.claims.base import VerdictState
from fedleak.studies.current import CurrentStudy, current_study, study_files
from fedleak.studies.ledger import METHOD, KeptRun, LedgerEntry, LedgerLine, load_ledger
from fedleak.studies.matrix import Point
from fedleak.studies.report.ledger_verdicts import is_older
from fedleak.studies.report.markdown import table, text
from fedleak.studies.study import is_study

README_MD = "README.md"
BEGIN, END = "<!-- findings: fedleak results write -->", "<!-- end of findings -->"
HEADINGS = ("study", "published", "measured where most leaks", "claims", "budget, seeds, minutes", "ledger")
STATES: tuple[VerdictState, ...] = ("reproduced", "not_reproduced", "nothing_leaked", "inconclusive")
SHOWN = ("lpips", "psnr", "mse", "label_accuracy", "accuracy")
"""Metrics of the table; of each the first three that a study has."""
LOWER_IS_CLOSER = ("lpips", "mse")
RANKED_BY = ("lpips", "psnr", "mse")
"""Metric by which the line where most leaks is chosen: the first that the study has."""
MOST = 3


@dataclass(frozen=True)
class PaperFinding:
    """A shipped study, and its newest run that is not withdrawn."""

    name: str
    file: Path
    study: CurrentStudy
    run: KeptRun | None

    @property
    def entry(self) -> LedgerEntry | None:
        """The ledger entry of the run."""
        return None if self.run is None else self.run.entry


def write_findings(folder: Path, papers: Sequence[Path]) -> Path | None:
    """Write the table into ``README.md`` of ``folder``, between its marks; None if there is no such place.

    Raises:
        InputError: if a file of a ledger or a study is not valid, or a mark is missing.
    """
    path = folder / README_MD
    if not path.is_file() or BEGIN not in (before := path.read_text(encoding="utf-8")):
        return None
    with naming(path):
        write_atomically(path, with_findings(before, folder, papers))
    return path


def with_findings(readme: str, folder: Path, papers: Sequence[Path]) -> str:
    """A README with the table between its marks as the ledgers make it."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise InputError("FOLDER", str(folder / README_MD), f"expected the table between {BEGIN} and {END}")
    return "\n".join([head + BEGIN, "", *render_findings(folder, papers), END]) + tail


def render_findings(folder: Path, papers: Sequence[Path]) -> Iterator[str]:
    """Lines of the table, with the number of claims in each state above it."""
    findings = [finding for paper in papers for finding in _findings(paper)]
    yield from _totals(findings)
    yield from table(HEADINGS, [_row(finding, folder) for finding in findings])


def _findings(paper: Path) -> Iterator[PaperFinding]:
    runs = list(load_ledger(paper))
    for name, file in study_files(paper).items():
        if not is_study(read_yaml(file)):
            continue
        own = [run for run in runs if run.entry.study == name and run.withdrawal is None]
        newest = max(own, key=lambda run: (run.entry.date, run.entry.finished or "", run.path.name), default=None)
        study = current_study(file, newest.entry.budget if newest else None) or current_study(file, None)
        if study is not None:
            yield PaperFinding(name, file, study, newest)


def _totals(findings: Sequence[PaperFinding]) -> Iterator[str]:
    count: Counter[str] = Counter()
    claims = sum(len(finding.study.claims) for finding in findings)
    for finding in findings:
        count += _judged(finding)
    judged = ", ".join(f"{count[state]} {state.replace('_', ' ')}" for state in STATES)
    hours = sum(finding.entry.cell_seconds or 0 for finding in findings if finding.entry) / 3600
    yield f"{len(findings)} studies make {claims} claims. By the newest run of each study, where it judged"
    yield f"behind the gate what the study says today: {judged}."
    yield "The other claims were judged by an earlier method, in other words, or by no run."
    yield f"The time of {hours:.1f} hours of these runs is known."
    yield ""


def _judged(finding: PaperFinding) -> Counter[str]:
    """States of today's claims that the newest run judged by today's method."""
    entry = finding.entry
    if entry is None or entry.method != METHOD:
        return Counter()
    return Counter(verdict.state for verdict in entry.verdicts if not is_older(verdict, finding.study))


def _row(finding: PaperFinding, folder: Path) -> tuple[str, ...]:
    link = f"[{text(finding.name)}]({finding.file.relative_to(folder).as_posix()})"
    entry = finding.entry
    if finding.run is None or entry is None:
        return link, _published(finding.study), "", "not run", "", ""
    file = finding.run.path.relative_to(folder).as_posix()
    return link, _published(finding.study), _measured(entry), _claims(finding, entry), _facts(entry), f"[file]({file})"


def _published(study: CurrentStudy) -> str:
    """The range of the published values of each metric."""
    found: dict[str, list[float]] = {}
    for value in study.published.values:
        found.setdefault(value.metric, []).append(value.value)
    return ", ".join(f"{text(metric)} {_range(values)}" for metric, values in found.items())


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _measured(entry: LedgerEntry) -> str:
    """Metrics with intervals of the line where most leaks, with its attack and point."""
    lines = [line for line in entry.lines if not line.is_baseline and line.metrics]
    metrics = {name for line in lines for name in line.metrics}
    ranked = next((name for name in RANKED_BY if name in metrics), None)
    if ranked is None:
        return ""
    sign = 1 if ranked in LOWER_IS_CLOSER else -1
    best = min((line for line in lines if ranked in line.metrics), key=lambda line: sign * line.metrics[ranked].mean)
    shown = [f"{name} {_interval(best.metrics[name])}" for name in SHOWN if name in best.metrics][:MOST]
    return text(f"{', '.join(shown)} ({_where(best)})")


def _where(line: LedgerLine) -> str:
    return ", ".join([line.attack, *_values(line.point)])


def _values(point: Point) -> Iterator[str]:
    return (f"{name.rpartition('.')[2]} {value}" for name, value in point.items() if value is not None)


def _interval(value: Interval) -> str:
    bounds = "" if value.low is None or value.high is None else f" [{value.low:.3g}, {value.high:.3g}]"
    return f"{value.mean:.3g}{bounds}"


def _claims(finding: PaperFinding, entry: LedgerEntry) -> str:
    """How many claims came out how; what an earlier method or older claims said is named as such."""
    if not entry.verdicts:
        return "none"
    older = sum(is_older(verdict, finding.study) for verdict in entry.verdicts)
    count = Counter(verdict.state for verdict in entry.verdicts)
    parts = [f"{count[state]} {state.replace('_', ' ')}" for state in STATES if count[state]]
    notes = ["by an earlier method"] if entry.method != METHOD else []
    notes += [f"{older} as the study said them before"] if older else []
    return ", ".join(parts) + (f" ({'; '.join(notes)})" if notes else "")


def _facts(entry: LedgerEntry) -> str:
    parts = [f"`{entry.budget}`" if entry.budget else "default"]
    if entry.seeds is not None:
        parts.append(f"{len(entry.seeds)} seed" + "s" * (len(entry.seeds) != 1))
    if entry.cell_seconds is not None:
        parts.append(f"{entry.cell_seconds / 60:.0f} min")
    return ", ".join(parts)
