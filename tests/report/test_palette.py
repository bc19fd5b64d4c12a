from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray

from fedleak.report.palette import LIGHT, PLACEHOLDERS, SERIES

MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Full deficiency in linear RGB (Machado, Oliveira & Fernandes 2009, IEEE TVCG 15(6))."""
APART = 15.0
"""Least CIE76 distance; 2.3 is a just noticeable difference."""


def linear(colour: str) -> NDArray[np.float64]:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    x, y, z = np.cbrt(np.maximum(xyz / (0.95047, 1.0, 1.08883), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("deficiency", ["none", *MACHADO])
def test_the_series_differ_for_every_reader(deficiency: str) -> None:
    seen = np.array(MACHADO[deficiency]) if deficiency in MACHADO else np.eye(3)
    colours = {name: lab(np.clip(seen @ linear(LIGHT[name]), 0, 1)) for name in LIGHT if re.fullmatch(r"--s\d", name)}
    near = {
        (one, other): round(float(np.linalg.norm(colours[one] - colours[other])), 1)
        for one, other in itertools.combinations(colours, 2)
        if np.linalg.norm(colours[one] - colours[other]) < APART
    }
    assert near == {}


def test_the_page_has_the_same_colours() -> None:
    css = files("fedleak.report").joinpath("report.css").read_text("utf-8").split("@media")[0]
    declared = dict(re.findall(r"(--\w+): (#[0-9a-f]{6});", css))
    assert {name: declared[name] for name in LIGHT} == dict(LIGHT)


def test_every_placeholder_stands_for_one_colour() -> None:
    assert len(set(SERIES)) == len(SERIES)
    assert PLACEHOLDERS[SERIES[1]] == LIGHT["--s1"]
