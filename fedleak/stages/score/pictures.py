"""Pictures for the report: best, median and worst images of an attack, and the first images of the run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from PIL import Image
from torch import Tensor

from fedleak.examples import to_picture
from fedleak.results.schema import Picture, ResultRow
from fedleak.stages.score.rows import MatchedImages
from fedleak.transcript.files import replacing

PER_RANK = 6
COMPARED = 6
"""Number of images for which attacks are shown side by side."""
Rank = Literal["best", "median", "worst", "first", "unscored"]


def save_pictures(folder: Path, images: MatchedImages, rows: list[ResultRow]) -> tuple[Picture, ...]:
    """Write PNG files for up to six images of each rank, by mean squared error, without repeats."""
    ranked = [i for i, row in enumerate(rows) if row.metrics.get("mse") is not None]
    ranked.sort(key=lambda i: (rows[i].metrics["mse"] or 0.0, i))
    if not ranked:
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_save(folder, images, rows[i], i, rank) for rank, i in _choose(ranked))


def save_compared(folder: Path, images: MatchedImages, rows: list[ResultRow]) -> tuple[Picture, ...]:
    """Write PNG files for the run's first images, whatever their errors, so that all attacks show the same images."""
    places = [i for i, row in enumerate(rows) if row.metrics.get("mse") is not None]
    places.sort(key=lambda i: (rows[i].round, rows[i].victim, rows[i].image or 0))
    if not places:
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_save(folder, images, rows[i], i, "first") for i in places[:COMPARED])


def save_rebuilt(folder: Path, row: ResultRow, image: Tensor, *, note: str) -> Picture:
    """Write the PNG file of a reconstruction without an original; ``note`` stands in for scores."""
    folder.mkdir(parents=True, exist_ok=True)
    name = _name(row)
    _write_png(folder / name, image)
    return Picture(
        rank="unscored",
        victim=row.victim,
        round=row.round,
        image=row.image or 0,
        original="",
        reconstruction=name,
        note=note,
        metrics={},
    )


def _choose(ranked: list[int]) -> list[tuple[Rank, int]]:
    count = min(PER_RANK, -(-len(ranked) // 3))
    middle = (len(ranked) - count) // 2
    chosen: list[tuple[Rank, int]] = [("best", i) for i in ranked[:count]]
    chosen += [("median", i) for i in ranked[middle : middle + count]]
    chosen += [("worst", i) for i in ranked[-count:]]
    seen: set[int] = set()
    return [(rank, i) for rank, i in chosen if not (i in seen or seen.add(i))]  # type: ignore[func-returns-value]


def _save(folder: Path, images: MatchedImages, row: ResultRow, i: int, rank: Rank) -> Picture:
    original = f"original-{row.round:04d}-{row.victim:05d}-{row.image:03d}.png"
    reconstruction = _name(row)
    _write_png(folder / original, images.originals[i])
    _write_png(folder / reconstruction, images.reconstructions[i])
    return Picture(
        rank=rank,
        victim=row.victim,
        round=row.round,
        image=row.image or 0,
        original=original,
        reconstruction=reconstruction,
        metrics=row.metrics,
    )


def _name(row: ResultRow) -> str:
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", row.attack)
    return f"{safe}-{row.round:04d}-{row.victim:05d}-{row.image:03d}.png"


def _write_png(path: Path, image: Tensor) -> None:
    with replacing(path) as temporary:
        Image.fromarray(to_picture(image)).save(temporary, format="PNG")
