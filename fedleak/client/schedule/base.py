"""What every learning-rate schedule is."""

from __future__ import annotations

from abc import abstractmethod

from fedleak.component import Component


class Schedule(Component):
    """The course of a learning rate over the local steps of one round; every round begins anew."""

    @abstractmethod
    def factor(self, step: int, *, steps: int) -> float:
        """By what the learning rate is multiplied in ``step``, counted from zero, of ``steps``."""
