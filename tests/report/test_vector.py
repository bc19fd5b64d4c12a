from __future__ import annotations

import re

from fedleak.report.charts import accuracy_by_round
from fedleak.report.palette import LIGHT, PLACEHOLDERS
from fedleak.report.vector import collected
from fedleak.results.schema import FederationRound

ROUNDS = [FederationRound(round=n, accuracy=0.3 * n, loss=1.0) for n in (1, 2, 3)]


def drawn() -> dict[str, dict[str, bytes]]:
    with collected() as drawings:
        accuracy_by_round(ROUNDS, limits=(0.5, 3.5))
    return drawings.files


def test_a_chart_becomes_a_file_of_its_own_with_the_colours_of_the_page() -> None:
    (chart,) = drawn().values()
    svg = chart["svg"].decode()
    assert svg.startswith("<?xml")
    assert LIGHT["--ink"] in svg
    assert "var(--" not in svg
    assert not set(re.findall(r"#[0-9a-f]{6}", svg)) & set(PLACEHOLDERS)
    assert chart["pdf"].startswith(b"%PDF-")


def test_the_same_chart_gives_the_same_bytes() -> None:
    assert drawn() == drawn()


def test_the_page_is_the_same_whether_or_not_its_charts_are_kept() -> None:
    with collected():
        kept = accuracy_by_round(ROUNDS, limits=(0.5, 3.5))
    assert kept == accuracy_by_round(ROUNDS, limits=(0.5, 3.5))
