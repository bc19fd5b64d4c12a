"""What every staleness model is."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fedleak.component import Component


class Staleness(Component):
    """How many rounds behind a client is: its update of round t is computed on the model of t - 1 - lag rounds.

    Before round ``lag + 1`` it has nothing older than the first model.
    """

    @abstractmethod
    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """Rounds between the current model and the one that ``client`` uses in a round, counted from one.

        Args:
            generator: of this client and round alone.
        """
