"""The result of ``fedleak.invert``."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from fedleak.attacks.base import Attack
from fedleak.attacks.budgets import Reduction
from fedleak.examples import to_picture
from fedleak.results.schema import MatchingLoss
from fedleak.run_results import read_frame

SHOWN = 8
"""Images in the picture that a notebook shows."""
ENLARGED = 96
"""Least side of an image in that picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """What an attack found behind one update.

    Attributes:
        images: ``(B, C, H, W)`` float32 in [0, 1], in any order.
        labels: ``(B,)`` int64: guessed with the images and in their order, inferred (sorted), or as given; None if
            nobody asked for them.
        loss: the matching loss, one value per iteration; empty for attacks without a search.
        matching: summary of the loss: where it began, that of the images, and whether the search had ended.
        reduced: budgets below the attack's defaults.
        attack: its settings.
        seconds: of the attack, with its training if it has any.
    """

    images: Tensor
    labels: Tensor | None
    loss: tuple[float, ...]
    matching: MatchingLoss | None
    reduced: tuple[Reduction, ...]
    attack: Attack
    seconds: float

    @property
    def has_converged(self) -> bool | None:
        """Whether the search had come to its end; None for an attack without one."""
        return None if self.matching is None else self.matching.unfinished == 0

    @property
    def verdict(self) -> str:
        """In one sentence whether the search has ended; a poor image of an unfinished search is no sign of safety."""
        if self.matching is None:
            return "no search: the attack computes its answer"
        course = f"matching loss {self.matching.start:.3g} to {self.matching.final:.3g}"
        if not self.has_converged:
            return f"not converged: {course}, still falling or never left its start; raise the iterations"
        weaker = "; ".join(f"{name} {value}, by default {default}" for name, value, default in self.reduced)
        return f"converged: {course}" + (f"; weaker than the default: {weaker}" if weaker else "")

    def picture(self) -> Image.Image:
        """The first images side by side, enlarged."""
        shown = [_enlarged(to_picture(image)) for image in self.images[:SHOWN]]
        sheet = Image.new("RGB", (sum(one.width for one in shown) + 4 * (len(shown) - 1), shown[0].height), "white")
        left = 0
        for one in shown:
            sheet.paste(one, (left, 0))
            left += one.width + 4
        return sheet

    def frame(self) -> Any:
        """The matching loss as a ``pandas.DataFrame`` with the columns ``iteration`` and ``loss``."""
        lines = [f"{i + 1},{value!r}" for i, value in enumerate(self.loss)]
        return read_frame("\n".join(["iteration,loss", *lines]))

    def figure(self) -> Figure:
        """The matching loss by iteration, on a logarithmic axis, as a matplotlib figure."""
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(range(1, len(self.loss) + 1), self.loss)
        axes.set(xlabel="iteration", ylabel="matching loss", title=self.attack.name)
        if self.loss and min(self.loss) > 0:
            axes.set_yscale("log")
        return figure

    def _repr_png_(self) -> bytes:
        """For notebooks."""
        file = io.BytesIO()
        self.picture().save(file, format="png")
        return file.getvalue()

    def __repr__(self) -> str:
        shape = tuple(self.images.shape)
        return f"Inverted({self.attack.name}: images {shape}, {self.verdict}, {self.seconds:.1f} s)"


def _enlarged(pixels: np.ndarray[Any, Any]) -> Image.Image:
    image = Image.fromarray(pixels)
    times = max(1, -(-ENLARGED // max(image.size)))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
