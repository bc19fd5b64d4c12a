"""Drawing of clocks, numbers and words as masks of plate and ink."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ContentName = Literal["clock", "number", "text"]
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = tuple("0123456789")
HOURS = ("12", *(str(hour) for hour in range(1, 12)))
OVERSAMPLING = 4
"""Factor by which masks are drawn larger and then averaged, because PIL does not draw smooth edges."""
WIDTH = 0.9
"""Width of a row of characters as a share of the plate."""
Mask = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """Position of a drawing: its centre and half its size, in pixels of the mask."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Content:
    """A kind of content: a row of symbols that determine the class.

    Attributes:
        symbols: length -> number of values of each symbol.
        draw: symbols, place and side -> masks of plate and ink.
        label: symbols ``(N, K)`` -> classes ``(N,)``.
        class_names: names of the classes.
    """

    symbols: Callable[[int], tuple[int, ...]]
    draw: Callable[[Sequence[int], Place, int], tuple[Image.Image, Image.Image]]
    label: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    class_names: tuple[str, ...]


def masks(content: ContentName, symbols: Sequence[int], *, side: int, at: tuple[float, float, float]) -> list[Mask]:
    """Masks of plate and ink of one picture, ``(side, side)`` each, in [0, 1].

    Args:
        at: centre x and y, and radius, as shares of the side.
    """
    large = side * OVERSAMPLING
    place = Place(at[0] * large, at[1] * large, at[2] * large)
    drawn = CONTENTS[content].draw(symbols, place, large)
    return [np.asarray(mask.reduce(OVERSAMPLING), dtype=np.float64) / 255 for mask in drawn]


def draw_clock(symbols: Sequence[int], place: Place, side: int) -> tuple[Image.Image, Image.Image]:
    """A clock with hour 0 to 11 and minute 0 to 55 in steps of five; the hour hand moves with the minutes."""
    hour, fifth = symbols
    plate, ink = Image.new("L", (side, side)), Image.new("L", (side, side))
    box = (place.x - place.radius, place.y - place.radius, place.x + place.radius, place.y + place.radius)
    ImageDraw.Draw(plate).ellipse(box, fill=255)
    pen = ImageDraw.Draw(ink)
    pen.ellipse(box, outline=255, width=max(1, round(0.06 * place.radius)))
    for mark in range(12):
        _hand(pen, place, mark / 12, start=0.82 if mark % 3 else 0.72, end=0.94, width=0.06)
    _hand(pen, place, (hour + fifth / 12) / 12, start=-0.1, end=0.48, width=0.16)
    _hand(pen, place, fifth / 12, start=-0.1, end=0.8, width=0.08)
    return plate, ink


def _hand(pen: ImageDraw.ImageDraw, place: Place, turn: float, *, start: float, end: float, width: float) -> None:
    """Draw a line along a radius, clockwise from the top; lengths are shares of the radius."""
    x, y = math.sin(2 * math.pi * turn), -math.cos(2 * math.pi * turn)
    ends = [(place.x + share * place.radius * x, place.y + share * place.radius * y) for share in (start, end)]
    pen.line(ends, fill=255, width=max(1, round(width * place.radius)))


def draw_number(symbols: Sequence[int], place: Place, side: int) -> tuple[Image.Image, Image.Image]:
    """A row of digits."""
    return _row([DIGITS[symbol] for symbol in symbols], place, side)


def draw_text(symbols: Sequence[int], place: Place, side: int) -> tuple[Image.Image, Image.Image]:
    """A row of capital letters."""
    return _row([LETTERS[symbol] for symbol in symbols], place, side)


def _row(characters: Sequence[str], place: Place, side: int) -> tuple[Image.Image, Image.Image]:
    """Characters on a plate, each centred in its slot."""
    slot = 2 * WIDTH * place.radius / len(characters)
    height = min(1.3 * slot, 1.4 * place.radius)
    plate, ink = Image.new("L", (side, side)), Image.new("L", (side, side))
    ends = (place.x - place.radius, place.y - 0.65 * height, place.x + place.radius, place.y + 0.65 * height)
    ImageDraw.Draw(plate).rectangle(ends, fill=255)
    pen = ImageDraw.Draw(ink)
    left = place.x - WIDTH * place.radius
    for i, character in enumerate(characters):
        pen.text((left + (i + 0.5) * slot, place.y), character, fill=255, font=_font(round(height)), anchor="mm")
    return plate, ink


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """PIL's default font."""
    return ImageFont.load_default(height)


CONTENTS: Mapping[ContentName, Content] = {
    "clock": Content(lambda _: (12, 12), draw_clock, lambda symbols: symbols[:, 0], HOURS),
    "number": Content(lambda length: (10,) * length, draw_number, lambda symbols: symbols.sum(axis=1) % 10, DIGITS),
    "text": Content(lambda length: (26,) * length, draw_text, lambda symbols: symbols[:, 0], LETTERS),
}
