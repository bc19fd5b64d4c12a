"""Selection of trackers for a command, and logging of finished runs and studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedleak.component import discover
from fedleak.errors import InputError, TrackingError, nearest
from fedleak.studies.execute import Tally, Watcher
from fedleak.studies.work import Unit, UnitOutcome
from fedleak.trackers.base import TrackedEntry, Tracker
from fedleak.trackers.entries import entries, run_entry


def chosen_trackers(wanted: Sequence[str], *, option: str = "--track") -> tuple[Tracker, ...]:
    """Trackers given as ``KIND`` or ``KIND=TARGET`` with an ``option`` of the command line, their libraries checked.

    Raises:
        InputError: if a kind does not exist, or its library is missing.
    """
    known: Mapping[str, type[Any]] = discover(Tracker, "fedleak.trackers")
    trackers: list[Tracker] = []
    for text in wanted:
        kind, _, target = text.partition("=")
        if kind not in known:
            raise InputError(option, text, f"{nearest(kind, known)}expected KIND or KIND=TARGET; {', '.join(known)}")
        tracker: Tracker = known[kind].model_validate({"target": target} if target else {})
        tracker.check(option)
        trackers.append(tracker)
    return tuple(trackers)


def log_finished(root: Path, trackers: Sequence[Tracker]) -> int:
    """Log the run or study in ``root`` to every tracker; return how many entries were new to at least one.

    Raises:
        InputError: if it holds no finished run or study.
        TrackingError: if a tracker cannot be written to.
    """
    return _log(entries(root), trackers, root) if trackers else 0


def _log(found: Iterable[TrackedEntry], trackers: Sequence[Tracker], root: Path) -> int:
    try:
        return sum(max([tracker.log(entry) for tracker in trackers]) for entry in found)
    except TrackingError as error:
        raise TrackingError(f"{error}; the results are safe, 'fedleak track {root}' logs what is missing") from error


class TrackingWatcher:
    """A watcher that logs each finished cell and forwards all events to another watcher.

    Args:
        inner: watcher that events are forwarded to.
        trackers: trackers to log to; may be empty.
        root: directory of the study.
        group: name of the study.
        names: key -> name of a cell.
    """

    def __init__(
        self, inner: Watcher, trackers: Sequence[Tracker], *, root: Path, group: str, names: Mapping[str, str]
    ) -> None:
        self._inner, self._trackers = inner, tuple(trackers)
        self._root, self._group, self._names = root, group, names

    def begun(self, unit: Unit) -> None:
        """Forward the event."""
        self._inner.begun(unit)

    def ended(self, outcome: UnitOutcome, *, again: bool) -> None:
        """Forward the event, and log a finished cell."""
        self._inner.ended(outcome, again=again)
        if not self._trackers or outcome.unit.kind != "cell" or outcome.reason:
            return
        key = outcome.unit.key
        entry = run_entry(self._root / "cells" / key, group=self._group, name=self._names.get(key, key))
        try:
            _log([entry], self._trackers, self._root)
        except TrackingError:  # all cells are logged at the end, which then raises the error
            self._trackers = ()

    def refresh(self, tally: Tally) -> None:
        """Forward the event."""
        self._inner.refresh(tally)
