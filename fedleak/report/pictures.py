"""Originals and their reconstructions as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from fedleak.errors import InputError
from fedleak.records import read_bytes
from fedleak.report.marks import display_name
from fedleak.results.format import metric_title, metric_value
from fedleak.results.schema import PICTURES, AttackSummary, Picture

_LONG_SIDE = 96
"""Approximate size in pixels to which small images are enlarged."""
_LIMIT = 128
LARGEST_PICTURE = 1 << 25
"""Largest picture that is embedded, in bytes."""
"""Larger images are shown at this many pixels."""
_CAPTION_METRICS = ("mse", "psnr")


@dataclass(frozen=True)
class ShownImage:
    """A picture ready to be shown; ``problem`` is the reason if there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    enlarged: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Pair:
    """An original and its reconstruction."""

    place: str
    scores: tuple[str, ...]
    original: ShownImage
    reconstruction: ShownImage


@dataclass(frozen=True)
class RankedPairs:
    """Pictures of one rank: best, median or worst."""

    title: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Gallery:
    """The pictures of one attack, and the number of ``images`` that it rebuilt."""

    name: str
    images: int
    ranks: tuple[RankedPairs, ...]


def galleries(run_directory: Path, summaries: tuple[AttackSummary, ...]) -> tuple[Gallery, ...]:
    """One gallery for each attack, and for each baseline that has pictures.

    Raises:
        InputError: if a picture's name points outside the folder of pictures.
    """
    folder = run_directory / PICTURES
    return tuple(
        Gallery(display_name(s), s.images + s.unscored, _ranks(folder, s.pictures))
        for s in summaries
        if s.pictures or not s.is_baseline
    )


def _ranks(folder: Path, pictures: tuple[Picture, ...]) -> tuple[RankedPairs, ...]:
    titles = dict.fromkeys(picture.rank for picture in pictures)
    return tuple(RankedPairs(t, tuple(make_pair(folder, p) for p in pictures if p.rank == t)) for t in titles)


def make_pair(folder: Path, picture: Picture) -> Pair:
    """Read both files of a picture."""
    shown = [n for n in _CAPTION_METRICS if picture.metrics.get(n) is not None]
    return Pair(
        place=f"client {picture.victim}, round {picture.round}, image {picture.image}",
        scores=(*(_score(name, picture.metrics[name]) for name in shown), *filter(None, [picture.note])),
        original=read_image(folder, picture.original) if picture.original else ShownImage(problem="not known"),
        reconstruction=read_image(folder, picture.reconstruction),
    )


def _score(name: str, value: float | None) -> str:
    unit = " dB" if name == "psnr" else ""
    return f"{metric_title(name)} {metric_value(name, value)}{unit}"


def read_image(folder: Path, name: str) -> ShownImage:
    """The PNG ``folder/name`` at the size it is shown.

    Raises:
        InputError: if ``name`` points outside ``folder``.
    """
    path = _inside(folder, name)
    try:
        content = read_bytes(path, most=LARGEST_PICTURE)
    except (OSError, ValueError):
        return ShownImage(problem="picture missing")
    size = _png_size(content)
    if size is None:
        return ShownImage(problem="not a PNG picture")
    longest = max(size)
    scale = _LIMIT / longest if longest > _LIMIT else float(max(1, round(_LONG_SIDE / longest)))
    width, height = (max(1, round(side * scale)) for side in size)
    uri = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
    return ShownImage(uri, width, height, enlarged=scale > 1)


def _inside(folder: Path, name: str) -> Path:
    root = folder.resolve()
    try:
        path = (root / name).resolve()
    except (ValueError, OSError, RuntimeError) as error:  # a zero byte, or a loop of links
        raise InputError("results.json: picture", name, f"not a file name ({error})") from error
    if not path.is_relative_to(root):
        raise InputError("results.json: picture", name, f"pictures must be in {PICTURES}/")
    return path


def _png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height; None if it is not a PNG that Pillow can open."""
    try:
        with PIL.Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            return picture.size
    except (OSError, ValueError, PIL.Image.DecompressionBombError):
        return None
