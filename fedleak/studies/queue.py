"""What is to be done next: federations first made, then attacked by the cells that share them. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedleak.studies.work import Unit

MAX_LOSSES = 2
"""Times that a unit is tried again after its worker died."""


@dataclass
class Queue:
    """Units that are waiting, at work, or settled.

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
        """Nothing waits and nothing is at work."""
        return not self.cells and not self._running

    @property
    def running(self) -> tuple[Unit, ...]:
        """At work, longest first."""
        return tuple(self._running.values())

    @property
    def federations_left(self) -> int:
        """Federations that waiting cells still need."""
        return len({cell.federation for cell in self.cells} - self.ready)

    def take(self) -> Unit | None:
        """The next unit to start; None if everything that is left waits for what is at work.

        A cell whose federation nobody attacks at the moment comes first: two cells of one federation may need the same
        trained generator, and the second would only wait for it. Then a federation, then any cell that can run.
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
        """It worked."""
        del self._running[unit.key]
        if unit.kind == "federation":
            self.ready.add(unit.key)

    def lost(self, unit: Unit) -> bool:
        """Its worker died: put it back, unless that has happened too often; whether it was put back."""
        del self._running[unit.key]
        self._losses[unit.key] = self._losses.get(unit.key, 0) + 1
        if self._losses[unit.key] > MAX_LOSSES:
            return False
        if unit.kind == "cell":
            self.cells.insert(0, unit)
        return True

    def failed(self, unit: Unit) -> list[str]:
        """It failed for good: keys of the cells that fail with it, which are dropped."""
        self._running.pop(unit.key, None)
        if unit.kind == "cell":
            return [unit.key]
        dropped = [cell.key for cell in self.cells if cell.federation == unit.key]
        self.cells = [cell for cell in self.cells if cell.federation != unit.key]
        return dropped


def distinct(units: Iterable[Unit]) -> list[Unit]:
    """Each key once, in order."""
    return list({unit.key: unit for unit in units}.values())
