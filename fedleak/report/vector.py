"""Charts of the reports as files of their own: SVG and PDF with fixed colours, for papers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from fedleak.report.palette import PLACEHOLDERS

DRAWN: ContextVar[Drawings | None] = ContextVar("drawings", default=None)
_STYLE: dict[Any, Any] = {"svg.fonttype": "path", "pdf.fonttype": 42, "svg.hashsalt": "fedleak"}
"""Letters as outlines in SVG; embedded TrueType fonts in PDF, which publishers ask for."""


@dataclass
class Drawings:
    """Charts by name -> file content by ending."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def add(self, name: str, figure: Figure) -> None:
        """Keep a chart as SVG and PDF. Its colours are changed for good, so the page's SVG must be written before."""
        for artist in figure.findobj():
            _fix(artist)
        figure.patch.set_facecolor("white")
        self.files[name] = {ending: _content(figure, ending) for ending in ("svg", "pdf")}


@contextmanager
def collected() -> Iterator[Drawings]:
    """Keep every chart that is drawn for a page inside the block."""
    drawings = Drawings()
    token = DRAWN.set(drawings)
    try:
        yield drawings
    finally:
        DRAWN.reset(token)


def _content(figure: Figure, ending: str) -> bytes:
    metadata: dict[str, Any] = {"Date": None} if ending == "svg" else {"CreationDate": None, "ModDate": None}
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def _fix(artist: Artist) -> None:
    """Replace the placeholders of colours by those of the light page."""
    if isinstance(artist, Line2D):
        artist.set_color(_fixed(artist.get_color()))
        artist.set_markerfacecolor(_fixed(artist.get_markerfacecolor()))
        artist.set_markeredgecolor(_fixed(artist.get_markeredgecolor()))
    elif isinstance(artist, Text):
        artist.set_color(_fixed(artist.get_color()))
    elif isinstance(artist, Patch):
        face, edge = artist.get_facecolor(), artist.get_edgecolor()
        artist.set_facecolor(_fixed(face))
        artist.set_edgecolor(_fixed(edge))
    elif isinstance(artist, Collection):
        faces, edges = np.atleast_2d(artist.get_facecolor()), np.atleast_2d(artist.get_edgecolor())
        artist.set_facecolor([_fixed(colour) for colour in faces] if faces.size else "none")
        artist.set_edgecolor([_fixed(colour) for colour in edges] if edges.size else "none")


def _fixed(colour: Any) -> Any:
    """The colour behind a placeholder, with its opacity; any other colour as it is."""
    if isinstance(colour, str) and colour in ("none", "auto"):
        return colour
    found = PLACEHOLDERS.get(to_hex(colour))
    return colour if found is None else (*to_rgba(found)[:3], to_rgba(colour)[3])
