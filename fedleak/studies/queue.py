"""Queue of a study's work: federations run before the cells that share them. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedleak.studies.work import Unit

MAX_LOSSES = 2
"""Number of retries of a unit whose worker died."""


@dataclass
class Queue:
    """Units that are waiting or running, and federations that are ready.

    Args:
        cells: to run, in order.
        ready: keys of federations whose transcripts are finished.
    """

    cells: list[Unit]
    ready: set[str]
    _running: dict[str, Unit] = field(default_factory=dict)
    _losses: dict[str, int] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether nothing is waiting or running."""
        return not self.cells and not self._running

    @property
    def running(self) -> tuple[Unit, ...]:
        """Running units, the longest running first."""
        return tuple(self._running.values())

    @property
    def federations_left(self) -> int:
        """Number of federations that waiting cells still need."""
        return len({cell.federation for cell in self.cells} - self.ready)

    def take(self) -> Unit | None:
        """The next unit to start; None if all others wait for running units.

        First, a cell whose federation no running unit uses: two cells of one federation may need the same trained
        generator, and the second would only wait for it. Then a federation, then any cell that can run.
        """
        busy = {unit.federation for unit in self._running.values()}
        ready = [cell for cell in self.cells if cell.federation in self.ready]
        fresh = [cell for cell in ready if cell.federation not in busy]
        chosen = next(iter(fresh), None) or self._next_federation() or next(iter(ready), None)
        if chosen is None:
            return None
        if chosen.kind == "cell":
            self.cells.remove(chosen)
        self._running[chosen.key] = chosen
        return chosen

    def _next_federation(self) -> Unit | None:
        for cell in self.cells:
            if cell.federation not in self.ready and cell.federation not in self._running:
                return Unit("federation", cell.federation, cell.federation, cell.scenario)
        return None

    def done(self, unit: Unit) -> None:
        """Mark a unit as done."""
        del self._running[unit.key]
        if unit.kind == "federation":
            self.ready.add(unit.key)

    def lost(self, unit: Unit) -> bool:
        """Requeue a unit whose worker died, at most ``MAX_LOSSES`` times; return whether it will be retried."""
        del self._running[unit.key]
        self._losses[unit.key] = self._losses.get(unit.key, 0) + 1
        if self._losses[unit.key] > MAX_LOSSES:
            return False
        if unit.kind == "cell":
            self.cells.insert(0, unit)
        return True

    def failed(self, unit: Unit) -> list[str]:
        """Mark a unit as failed; drop the cells that fail with it and return their keys."""
        self._running.pop(unit.key, None)
        if unit.kind == "cell":
            return [unit.key]
        dropped = [cell.key for cell in self.cells if cell.federation == unit.key]
        self.cells = [cell for cell in self.cells if cell.federation != unit.key]
        return dropped


def distinct(units: Iterable[Unit]) -> list[Unit]:
    """One unit per key, in order."""
    return list({unit.key: unit for unit in units}.values())
