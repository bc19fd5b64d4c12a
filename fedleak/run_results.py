"""What ``fedleak.run`` returns: the results with a table, pictures and a chart for scripts and notebooks."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import PIL.Image
from matplotlib.figure import Figure
from pydantic import PrivateAttr

from fedleak.errors import InputError
from fedleak.results.format import metric_title
from fedleak.results.schema import PICTURES, AttackSummary, Picture, Results, to_csv

SIDE, GAP = 96, 4
"""Least side of a shown image, and the space between two, in pixels."""


class RunResults(Results):
    """The results of a run, and where it is on disk."""

    _root: Path = PrivateAttr()

    @staticmethod
    def of(results: Results, root: Path) -> RunResults:
        """The results of the run in a directory."""
        found = RunResults.model_construct(**{name: getattr(results, name) for name in Results.model_fields})
        found._root = root
        return found

    def __eq__(self, other: object) -> bool:
        """Whether the results are the same, wherever they lie; plain ``Results`` compare as well."""
        if not isinstance(other, Results):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Results.model_fields)

    __hash__ = Results.__hash__

    @property
    def root(self) -> Path:
        """The run directory."""
        return self._root

    def frame(self) -> Any:
        """The rows as a ``pandas.DataFrame``: one per reconstructed image, with the columns of ``results.csv``."""
        return read_frame(to_csv(self.rows))

    def images(self, attack: str | None = None, *, most: int = 8) -> PIL.Image.Image:
        """Originals above their reconstructions by one attack; without ground truth the reconstructions alone.

        Args:
            attack: its id (default: the first).
            most: largest number of images.

        Raises:
            InputError: if there is no such attack, or it kept no picture.
        """
        summary = self._summary(attack)
        first = {(p.round, p.victim, p.image): p for p in (*summary.compared, *summary.pictures)}
        shown = [first[place] for place in sorted(first)][:most]
        if not shown:
            raise InputError("attack", summary.attack, "it rebuilt no image")
        return sheet([self._files(picture) for picture in shown])

    def figure(self, metric: str = "mse") -> Figure:
        """A metric's mean by round, one line per attack and dashed ones for baselines, as a matplotlib figure.

        Raises:
            InputError: if no attack has such values.
        """
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        for summary in self.attacks:
            points = [(r.round, r.metrics[metric].mean) for r in summary.rounds if metric in r.metrics]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                line = "--" if summary.is_baseline else "-"
                axes.plot(*zip(*points, strict=True), line, marker="o", label=summary.attack)
        if not axes.lines:
            known = sorted({name for summary in self.attacks for name in summary.metrics})
            raise InputError("metric", metric, f"known: {', '.join(known) or 'none, as nothing was scored'}")
        axes.set_xlabel("round")
        axes.set_ylabel(metric_title(metric))
        axes.legend(fontsize="small")
        return figure

    def _summary(self, name: str | None) -> AttackSummary:
        attacks = [summary for summary in self.attacks if not summary.is_baseline]
        for summary in attacks:
            if name in (None, summary.attack):
                return summary
        raise InputError("attack", name, f"known: {', '.join(summary.attack for summary in attacks) or 'none'}")

    def _files(self, picture: Picture) -> list[Path]:
        names = [name for name in (picture.original, picture.reconstruction) if name]
        return [self._root / PICTURES / Path(name).name for name in names]

    def _repr_png_(self) -> bytes | None:
        """For notebooks: the pictures of the first attack that has some; None if none has."""
        for summary in self.attacks:
            if summary.compared or summary.pictures:
                return png(self.images(summary.attack))
        return None


def sheet(columns: list[list[Path]]) -> PIL.Image.Image:
    """Pictures of one size in columns, enlarged to at least ``SIDE`` pixels."""
    opened = [[_enlarged(path) for path in column] for column in columns]
    width, height = max(i.width for c in opened for i in c) + GAP, max(i.height for c in opened for i in c) + GAP
    whole = PIL.Image.new("RGB", (width * len(opened) - GAP, height * max(map(len, opened)) - GAP), "white")
    for x, column in enumerate(opened):
        for y, image in enumerate(column):
            whole.paste(image, (x * width, y * height))
    return whole


def _enlarged(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path, formats=["PNG"]) as file:
        image = file.convert("RGB")
    times = max(1, -(-SIDE // max(image.size)))
    return image.resize((image.width * times, image.height * times), PIL.Image.Resampling.NEAREST)


def png(image: PIL.Image.Image) -> bytes:
    """An image as the bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, format="png")
    return file.getvalue()


def read_frame(csv: str) -> Any:
    """A CSV text as a ``pandas.DataFrame``."""
    import pandas

    return pandas.read_csv(io.StringIO(csv))
