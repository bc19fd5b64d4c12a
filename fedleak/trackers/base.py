"""What every tracker is, and what it is given."""

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


@dataclass(frozen=True)
class TrackedEntry:
    """One finished run, cell or study, as it is logged.

    Attributes:
        key: content hash of the results; whatever is there under it is not logged again.
        group: of the entries that belong together: the study, or the scenario's name.
        name: of the entry in its group.
        settings: path -> value.
        scores: ``attack/metric`` -> mean over images and its 95 % interval.
        curves: ``attack/curve`` -> one value per epoch or iteration.
        costs: ``attack/what`` -> seconds, bytes or a count, as the name says.
        pictures: name -> PNG files of an original and its reconstruction.
        facts: further lines of text, such as verdicts.
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
    """Logs what is finished; it reads results and can change none."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Modules that are no dependency of fedleak but of its extra of the tracker's name."""

    target: str = ""
    """Where to: a folder or an address; the tracker's own default unless given."""

    @abstractmethod
    def log(self, entry: TrackedEntry) -> bool:
        """Log an entry; False if it is there already.

        Raises:
            TrackingError: if the tracker cannot be written to.
        """

    def check(self) -> None:
        """Make sure, before any work, that the tracker's library is there.

        Raises:
            InputError: naming the extra that brings it.
        """
        missing = [name for name in self.needs if find_spec(name) is None]
        if missing:
            raise InputError("--track", self.kind, f"{missing[0]} is missing; pip install 'fedleak[{self.kind}]'")
