"""The colours of the reports. Neighbours differ for readers with any of the common colour vision deficiencies.

The eight series are those of Okabe & Ito 2008 ("Color Universal Design") in an order of our own, darkened where the
original is too pale for lines on white; every series has a line style and a name beside its colour, too.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "--ink": "#1b2027",
    "--muted": "#5c6673",
    "--rule": "#dfe3e8",
    "--paper": "#ffffff",
    "--s1": "#0072b2",
    "--s2": "#d55e00",
    "--s3": "#009e73",
    "--s4": "#b3558f",
    "--s5": "#e0a800",
    "--s6": "#56b4e9",
    "--s7": "#3d3d6b",
    "--s8": "#7a4a2a",
}
"""CSS variable -> colour on a light page; ``report.css`` has the same."""
INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#020202", "#0a0101", "#0a0202", "#0a0303", "#0a0404", "#0a0505", "#0a0606", "#0a0707", "#0a0808")
"""Placeholders that charts are drawn with, indexed by the colour of a mark; pages replace them by CSS variables."""
VARIABLES: Mapping[str, str] = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"} | {
    colour: f"--s{i}" for i, colour in enumerate(SERIES) if i
}
PLACEHOLDERS: Mapping[str, str] = {placeholder: LIGHT[variable] for placeholder, variable in VARIABLES.items()}
"""Placeholder -> colour on a light page."""
