"""Checks of the results of a finished run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun, Severity
from fedleak.report.verdict import decide
from fedleak.results.judgement import judge
from fedleak.results.schema import RESULTS_JSON, Results, load_results


class Evidence(DoctorCheck):
    """A run in which no attack beats the baselines should be evidence of safety; the report has the same conditions."""

    kind: Literal["evidence"] = "evidence"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each condition that the results do not meet; failures have a check of their own."""
        results = _results(examined)
        if results is None:
            return
        severity: Severity = "note" if decide(results).tone == "leaks" else "warning"
        for missing in judge(results):
            if missing.kind != "failures":
                yield self.found(severity, f"{missing.title}: {missing.what}", why=missing.why, remedy=missing.remedy)


class FailedAttacks(DoctorCheck):
    """Attacks should succeed on the updates that they are given."""

    kind: Literal["failed_attacks"] = "failed_attacks"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each attack with failures, with its most frequent reason."""
        results = _results(examined)
        if results is None:
            return
        failed: dict[str, Counter[str]] = {}
        for row in results.rows:
            if row.status == "failed":
                failed.setdefault(row.attack, Counter())[row.reason] += 1
        for attack, reasons in failed.items():
            (reason, _), total = reasons.most_common(1)[0], reasons.total()
            everything = total >= examined.recorded_updates
            yield self.found(
                "error" if everything else "warning",
                f"attack {attack} failed on {total} of {examined.recorded_updates} updates: {reason}",
                why="they have no reconstruction and no score",
                remedy="fix the reason, then run the attack stage again",
            )


def _results(examined: ExaminedRun) -> Results | None:
    """The results of a finished run, else None."""
    folder = examined.reader.folder.parent if examined.reader else None
    return load_results(folder) if folder is not None and (folder / RESULTS_JSON).is_file() else None
