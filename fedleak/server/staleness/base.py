"""Base class of staleness models."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fedleak.component import Component


class Staleness(Component):
    """Base class of staleness models: a client's update of round t is computed on the model after t - 1 - lag rounds.

    Until round ``lag + 1`` this is the initial model.
    """

    @abstractmethod
    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """Rounds between the current model and the one that ``client`` uses in a round, counted from one.

        Args:
            generator: random generator for this client and round only.
        """
