"""The data set of a federation that fedleak did not run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import Dataset, DatasetSplits
from fedleak.data.sources.pixels import Channels
from fedleak.errors import InputError

Side = Annotated[int, Field(ge=1, le=limits.PIXELS)]


class Unseen(Dataset):
    """Images of clients whose federation was recorded elsewhere: only shape, classes and normalisation are known."""

    kind: Literal["unseen"] = "unseen"
    size: tuple[Side, Side] = (32, 32)
    """Height and width in pixels."""
    channels: Channels = 3
    """Channels of an image: 1, grey; 3, colour."""
    classes: int = Field(default=10, ge=2, le=limits.CLASSES)
    """Number of classes."""

    def load(self) -> DatasetSplits:
        """Refuse: there are no images.

        Raises:
            InputError: always.
        """
        raise InputError(
            "dataset",
            self.kind,
            "its clients' images are not here, so it cannot be run again; 'fedleak attack RUN_DIR' attacks its record",
        )
