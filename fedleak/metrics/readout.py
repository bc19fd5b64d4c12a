"""Whether the detail of a rendered image can be read in its reconstruction."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak.data.sources.base import Dataset
from fedleak.data.sources.drawing import CONTENTS, ContentName
from fedleak.data.sources.rendered import Rendered
from fedleak.metrics.base import Metric, MetricUnavailableError
from fedleak.metrics.reader import LARGEST, SMALLEST, Reader, reader

SEED = 1_000_003
"""Of the reader's own images: no data set of a scenario is drawn from it by default."""


class Readout(Metric):
    """Share of symbols (hour and minute, digits, letters) read alike in the reconstruction and in the original.

    A measure of the semantic details that Du et al. 2024 (arXiv 2404.05403, section 4.2.2) judge by eye; ours. The
    reader is a small network that is trained here to read such images; it never sees an attack's output. For
    reconstructions of the data set ``rendered``.
    """

    kind: Literal["readout"] = "readout"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    content: ContentName = "clock"
    """As in ``dataset.content``."""
    length: int = Field(default=3, ge=1, le=6)
    """As in ``dataset.length``."""
    steps: int = Field(default=800, ge=1)
    """Of the reader's training."""
    accuracy: float = Field(default=0.9, ge=0, le=1)
    """Share of the symbols of clean images that the reader must read right; one that does not is no judge."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` in [0, 1].

        Raises:
            MetricUnavailableError: if the reader has not learnt to read.
        """
        own = self._reader(max(truth.shape[-2:]))
        if own.accuracy < self.accuracy:
            raise MetricUnavailableError(
                f"the reader reads {own.accuracy:.0%} of the symbols of clean images after {self.steps} steps, less "
                f"than {self.accuracy:.0%}; raise metrics.readout.steps or the resolution"
            )
        alike = own.read(reconstruction) == own.read(truth)
        return alike.to(reconstruction.dtype).mean(dim=1)

    def objection(self, private: Dataset) -> str:
        """Other images, or other symbols, cannot be read."""
        if not isinstance(private, Rendered):
            return f"it reads images of the data set rendered; clients hold {private.kind}"
        if self.content != private.content or (self.content != "clock" and self.length != private.length):
            return f"clients hold a {private.content} of length {private.length}; content and length must be the same"
        return ""

    def _reader(self, side: int) -> Reader:
        size = min(max(side, SMALLEST), LARGEST)
        return reader(Rendered(content=self.content, length=self.length, size=size, channels=1, seed=SEED), self.steps)

    def note(self) -> str:
        """What was read, and by what."""
        values = CONTENTS[self.content].symbols(self.length)
        chance = sum(1 / count for count in values) / len(values)
        return (
            f"readout: {len(values)} symbols of each {self.content}, read by a small network trained here on images of "
            f"its own; guessing gets {chance:.0%}"
        )
