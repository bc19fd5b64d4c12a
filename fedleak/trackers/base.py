"""Base class of trackers, and the entries that they log."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from fedleak.component import Component
from fedleak.errors import InputError
from fedleak.results.schema import Interval
from fedleak.results.settings import Setting
from fedleak.trackers.reach import hidden


@dataclass(frozen=True)
class TrackedEntry:
    """One finished run, cell or study to log.

    Attributes:
        key: content hash of the results; an entry is not logged again under the same key.
        group: name of entries that belong together: the study's or the scenario's name.
        name: name of the entry in its group.
        settings: path -> value.
        scores: ``attack/metric`` -> mean over images and its 95 % interval.
        curves: ``attack/curve`` -> one value per epoch or iteration.
        costs: ``attack/what`` -> seconds, bytes or a count, as the name says.
        pictures: name -> PNG files of an original and its reconstruction.
        facts: name -> text, such as verdicts.
        report: the HTML report.
    """

    key: str
    group: str
    name: str
    report: Path
    settings: Mapping[str, Setting] = field(default_factory=dict)
    scores: Mapping[str, Interval] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def report_link(self) -> str:
        """``file://`` address of the report."""
        return self.report.resolve().as_uri()


class Tracker(Component):
    """Base class of trackers: log finished entries; they read results and never change them."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Modules that the extra named like the tracker installs."""

    target: str = ""
    """Folder or address to log to; the tracker's default if empty."""

    @abstractmethod
    def log(self, entry: TrackedEntry) -> bool:
        """Log an entry; return False if it exists already.

        Raises:
            TrackingError: if the tracker cannot be written to.
        """

    def check(self, option: str = "--track") -> None:
        """Check, before any work and within seconds, that the library is installed and the target can be used.

        Args:
            option: the option of the command line that chose the tracker.

        Raises:
            InputError: naming the extra that installs the library, or what is wrong with the target.
        """
        missing = [name for name in self.needs if find_spec(name) is None]
        if missing:
            raise InputError(option, self.kind, f"{missing[0]} is missing; pip install 'fedleak[{self.kind}]'")
        if reason := self.obstacle():
            raise InputError(option, f"{self.kind}={hidden(self.target)}", reason)

    def obstacle(self) -> str:
        """Why nothing can be logged to the target; empty if nothing is known to stand in the way."""
        return ""
