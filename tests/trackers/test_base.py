from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pytest

from fedleak.errors import InputError
from fedleak.trackers.base import TrackedEntry, Tracker


class Elsewhere(Tracker):
    """A tracker whose library nobody has."""

    kind: Literal["elsewhere"] = "elsewhere"
    needs: ClassVar[tuple[str, ...]] = ("json", "no_such_library")

    def log(self, entry: TrackedEntry) -> bool:
        return True


def test_a_missing_library_is_told_with_the_extra_that_brings_it() -> None:
    with pytest.raises(InputError, match=r"no_such_library is missing; pip install 'fedleak\[elsewhere\]'"):
        Elsewhere().check()


def test_the_report_is_linked_by_its_full_path(tmp_path: Path) -> None:
    entry = TrackedEntry(key="k", group="g", name="n", report=tmp_path / "a b" / "report.html")
    assert entry.report_link == f"file://{tmp_path}/a%20b/report.html"
