"""No distribution shift."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedleak.data.shift.base import Shift


class NoShift(Shift):
    """Public and private images come from the same distribution."""

    kind: Literal["none"] = "none"

    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Every image may be public or private."""
        return np.ones(len(labels), dtype=bool), np.ones(len(labels), dtype=bool)
