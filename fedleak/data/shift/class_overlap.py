"""Public and private data of different, possibly overlapping classes."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedleak import limits
from fedleak.data.shift.base import Shift

ClassIndex = Annotated[int, Field(ge=0, lt=limits.CLASSES)]


class ClassOverlap(Shift):
    """Public images of some classes, private images of others (Chen & Liu 2025, arXiv 2505.20026, section 5.2.2)."""

    kind: Literal["class_overlap"] = "class_overlap"
    public_classes: tuple[ClassIndex, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    """Numbers of the adversary's classes, from 0."""
    private_classes: tuple[ClassIndex, ...] = (2, 3, 4, 5, 6, 7, 8, 9)
    """Numbers of the clients' classes, from 0."""

    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Select by class; images of a shared class may be public or private."""
        return np.isin(labels, self.public_classes), np.isin(labels, self.private_classes)
