"""The table of a study's verdicts over its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedleak.studies.current import CurrentStudy
from fedleak.studies.ledger import KeptRun, LedgerEntry, LedgerVerdict
from fedleak.studies.report.markdown import table, text

OLDER = "judged by an older claim"
WORDS = ("kind", "says")
EMPTY: tuple[object, ...] = ({}, [], None, "")
HEADINGS = ("claim", "date", "budget", "commit", "seeds", "images", "verdict", "p", "adjusted p", "made as in")
SHOWN = {"reproduced": "reproduced", "not_reproduced": "**not reproduced**", "nothing_leaked": "nothing leaked"}
Studies = Mapping[str | None, CurrentStudy | None]
"""Budget -> the study of today; None if there is none."""
Judged = tuple[KeptRun, LedgerVerdict]


def verdict_lines(runs: Sequence[KeptRun], studies: Studies, methods: Sequence[str]) -> Iterator[str]:
    """Every verdict of every run, by claim: today's claims first, then those that are no longer the study's."""
    today = {claim.digest: claim.statement for study in studies.values() if study for claim in study.claims}
    groups: dict[str, list[Judged]] = {digest: [] for digest in today}
    for run in runs:
        for verdict in run.entry.verdicts:
            groups.setdefault(verdict.digest or f"said: {verdict.statement}", []).append((run, verdict))
    rows = [row for key, judged in groups.items() for row in _rows(judged, today.get(key), studies, methods)]
    yield from table(HEADINGS, rows)
    unjudged = [said for digest, said in today.items() if all(run.withdrawal for run, _ in groups[digest])]
    if unjudged:
        yield "Judged by no run: " + " ".join(_sentence(said) for said in unjudged)
        yield ""


def _rows(
    judged: Sequence[Judged], said: str | None, studies: Studies, methods: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    for place, (run, verdict) in enumerate(judged):
        entry, older = run.entry, is_older(verdict, studies.get(run.entry.budget))
        yield (
            _words(verdict, said) if place == 0 else "",
            entry.date,
            entry.budget or "",
            entry.commit or "unknown",
            "" if entry.seeds is None else str(len(entry.seeds)),
            images_of(entry),
            _verdict(run, verdict, older=older),
            _p(verdict.p),
            _p(verdict.adjusted_p),
            str(methods.index(entry.method) + 1),
        )


def is_older(verdict: LedgerVerdict, study: CurrentStudy | None) -> bool:
    """Whether the study of today no longer makes the claim that was judged."""
    return study is None or verdict.digest not in {claim.digest for claim in study.claims}


def _words(verdict: LedgerVerdict, said: str | None) -> str:
    """The words of today's claim, or else those of the claim that was judged, with its settings."""
    if said is not None:
        return text(said)
    if verdict.claim is None:
        return f"{text(verdict.statement)} (its settings are not known)"
    return f"{text(verdict.statement)} (`{_settings(verdict.claim)}`)"


def _settings(claim: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in claim.items() if key not in WORDS and value not in EMPTY}
    return f"{claim.get('kind')}: {text(json.dumps(kept, ensure_ascii=False))}"


def _verdict(run: KeptRun, verdict: LedgerVerdict, *, older: bool) -> str:
    state = SHOWN.get(verdict.state, verdict.state.replace("_", " "))
    state = f"~~{verdict.state.replace('_', ' ')}~~ withdrawn" if run.withdrawal else state
    reason = f": {text(verdict.reason)}" if verdict.reason else ""
    return f"{state}{reason}" + (f"; {OLDER}" if older else "")


def images_of(entry: LedgerEntry) -> str:
    """The images behind the scores of attacks: ``8``, or ``8 to 64``; empty if they are not known."""
    lines = (line for line in (*entry.lines, *entry.round_lines) if not line.is_baseline)
    counts = {line.images for line in lines if line.images is not None}
    if not counts:
        return ""
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _sentence(said: str) -> str:
    return text(said if said.endswith(".") else said + ".")
