"""Base class of learning-rate schedules."""

from __future__ import annotations

from abc import abstractmethod

from fedleak.component import Component


class Schedule(Component):
    """Base class of schedules of the learning rate over the local steps of one round; restarts every round."""

    @abstractmethod
    def factor(self, step: int, *, steps: int) -> float:
        """Factor of the learning rate in ``step``, counted from zero, of ``steps`` steps."""
