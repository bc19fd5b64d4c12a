"""Checks of the results of a finished run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun
from fedleak.results.schema import RESULTS_JSON, load_results


class FailedAttacks(DoctorCheck):
    """Attacks should succeed on the updates that they are given."""

    kind: Literal["failed_attacks"] = "failed_attacks"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each attack with failures, with its most frequent reason."""
        folder = examined.reader.folder.parent if examined.reader else None
        if folder is None or not (folder / RESULTS_JSON).is_file():
            return
        results = load_results(folder)
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
