"""Readout: whether the symbols in a rendered image can be read in its reconstruction."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import Dataset
from fedleak.data.sources.drawing import CONTENTS, ContentName
from fedleak.data.sources.rendered import Rendered
from fedleak.examples import InputShape
from fedleak.metrics.base import Metric, MetricUnavailableError
from fedleak.metrics.reader import LARGEST, SMALLEST, Reader, reader

SEED = 1_000_003
"""Seed of the reader's training images, which no data set of a scenario uses by default."""


class Readout(Metric):
    """Fraction of symbols (hour and minute, digits, letters) read the same in reconstruction and original.

    Our measure of the semantic details that Du et al. 2024 (arXiv 2404.05403, section 4.2.2) judge by eye. The reader
    is a small network that is trained at scoring on such images, never on an attack's output. For reconstructions of
    the data set ``rendered``.
    """

    kind: Literal["readout"] = "readout"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    content: ContentName = "clock"
    """Same value as ``dataset.content``."""
    length: int = Field(default=3, ge=1, le=6)
    """Number of symbols; same value as ``dataset.length``."""
    steps: int = Field(default=800, ge=1, le=limits.ITERATIONS)
    """Training steps of the reader."""
    accuracy: float = Field(default=0.9, ge=0, le=1)
    """Accuracy on clean images that the reader must reach; otherwise the metric is unavailable."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` in [0, 1].

        Raises:
            MetricUnavailableError: if the reader is not accurate enough.
        """
        own = self._reader(max(truth.shape[-2:]))
        if own.accuracy < self.accuracy:
            raise MetricUnavailableError(
                f"the reader reads {own.accuracy:.0%} of the symbols of clean images after {self.steps} steps, less "
                f"than {self.accuracy:.0%}; increase metrics.readout.steps or the resolution"
            )
        alike = own.read(reconstruction) == own.read(truth)
        return alike.to(reconstruction.dtype).mean(dim=1)

    def objection(self, private: Dataset) -> str:
        """Reason why the clients' images cannot be read, or an empty string."""
        if not isinstance(private, Rendered):
            return f"it needs images of the data set rendered; clients hold {private.kind}"
        if self.content != private.content or (self.content != "clock" and self.length != private.length):
            return f"clients hold a {private.content} of length {private.length}; content and length must be the same"
        return ""

    def _reader(self, side: int) -> Reader:
        size = min(max(side, SMALLEST), LARGEST)
        return reader(Rendered(content=self.content, length=self.length, size=size, channels=1, seed=SEED), self.steps)

    def note(self, shape: InputShape) -> str:
        """Number of symbols, the reader, and the score of guessing."""
        values = CONTENTS[self.content].symbols(self.length)
        chance = sum(1 / count for count in values) / len(values)
        return (
            f"readout: {len(values)} symbols of each {self.content}, read by a small network trained at scoring on "
            f"separate images; guessing gets {chance:.0%}"
        )
