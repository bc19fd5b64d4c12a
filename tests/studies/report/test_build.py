from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.studies.claims.base import ClaimCheck, ClaimVerdict
from fedleak.studies.report.build import render_study, write_study_report
from fedleak.studies.results import CellLine, StudyResults, load_study_results


def test_it_sets_published_beside_measured(finished: Path) -> None:
    html = (finished / "report.html").read_text(encoding="utf-8")
    (line,) = [x for x in load_study_results(finished).lines if x.attack == "lti" and list(x.point.values()) == [30, 4]]
    assert line.published == {"mse": 0.0123}
    assert "0.0123" in html
    assert f"{line.metrics['mse'].mean:.3f}" in html


def test_it_is_one_file_that_loads_nothing(finished: Path) -> None:
    html = (finished / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert html.count("data:image/png;base64,") > 4
    assert "<svg" in html


def test_it_links_to_every_cell(finished: Path) -> None:
    html = (finished / "report.html").read_text(encoding="utf-8")
    for cell in load_study_results(finished).cells:
        link = f"cells/{cell.key}/report.html"
        assert f'href="{link}"' in html
        assert (finished / link).is_file()


def test_text_is_escaped_and_failures_are_shown(finished: Path) -> None:
    results = load_study_results(finished)
    check = ClaimCheck(label="<b>case</b>", value=None, state="inconclusive", hint="<i>more</i>")
    verdict = ClaimVerdict(kind="less", statement="<u>claim</u>", state="inconclusive", checks=(check,))
    failed = CellLine(key="x", point=results.cells[0].point, seed=0, status="failed", reason="<p>", log_tail=("<hr>",))
    changed = results.model_copy(update={"verdicts": (verdict,), "cells": (failed,), "name": "<h1>"})
    html = render_study(changed, finished)
    assert not any(tag in html for tag in ("<b>case", "<i>more", "<u>claim", "<hr>"))
    assert "Of 1 claim: 1 inconclusive." in html
    assert "&lt;hr&gt;" in html


def test_no_torch_is_loaded_to_write_it(finished: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fedleak.studies.report.build import write_study_report;"
        f"write_study_report(Path({str(finished)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_csv_has_each_image_once(finished: Path) -> None:
    with (finished / "study.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 4 * 4  # cells, an attack and three baselines, two victims in two rounds
    keys = [(r["cell"], r["attack"], r["victim"], r["round"], r["image"]) for r in rows]
    assert len(set(keys)) == len(keys)
    assert {"adversary.injection.pairs", "seed", "mse", "psnr"} <= rows[0].keys()


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study\.json"):
        write_study_report(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="not a readable study"):
        write_study_report(tmp_path)


def test_a_study_without_claims_or_figure_has_a_report(finished: Path) -> None:
    bare: StudyResults = load_study_results(finished).model_copy(update={"verdicts": (), "figure": None, "lines": ()})
    assert "makes no claims" in render_study(bare, finished)
