"""The table of all findings, of small ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError
from fedleak.studies.ledger import METHOD, add_entry, withdraw
from fedleak.studies.report.findings import BEGIN, END, README_MD, render_findings, with_findings, write_findings
from tests.studies.builders import ledger_entry
from tests.studies.report.test_ledger import NEW, OLD, line, paper, verdict


def cells(folder: Path) -> list[str]:
    row = next(each for each in render_findings(folder, [folder / "paper"]) if each.startswith("| [small]"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def judged(folder: Path) -> str:
    return " ".join(line for line in render_findings(folder, [folder / "paper"]) if not line.startswith("|"))


def kept(tmp_path: Path, **fields: Any) -> Path:
    return add_entry(tmp_path / "paper", ledger_entry(**({"method": METHOD} | fields)))


def test_a_study_that_was_never_run_says_so(tmp_path: Path) -> None:
    paper(tmp_path, NEW)
    assert cells(tmp_path) == ["[small](paper/small.yaml)", "", "", "not run", "", ""]
    assert "1 studies make 1 claims" in judged(tmp_path)


def test_the_line_where_most_leaks_is_shown_and_baselines_are_not(tmp_path: Path) -> None:
    paper(tmp_path, NEW)
    lines = (line(30, "lti", 0.2), line(10, "lti", 0.1), line(10, "baseline_grey", 0.01, is_baseline=True))
    kept(tmp_path, verdicts=(verdict(NEW, "reproduced"),), lines=lines, cell_seconds=600)
    assert cells(tmp_path)[2:5] == ["mse 0.1 [0.05, 0.2] (lti, pairs 10)", "1 reproduced", "default, 1 seed, 10 min"]
    assert "1 reproduced, 0 not reproduced" in judged(tmp_path)


def test_verdicts_of_an_earlier_method_or_of_an_older_claim_are_named_and_not_counted(tmp_path: Path) -> None:
    paper(tmp_path, NEW)
    kept(tmp_path, method="Without a gate.", verdicts=(verdict(NEW, "reproduced"), verdict(OLD, "reproduced")))
    assert cells(tmp_path)[3] == "2 reproduced (by an earlier method; 1 as the study said them before)"
    assert "0 reproduced" in judged(tmp_path)


def test_the_newest_run_that_is_not_withdrawn_counts(tmp_path: Path) -> None:
    paper(tmp_path, NEW)
    kept(tmp_path, date="2026-11-20", verdicts=(verdict(NEW, "not_reproduced"),))
    newer = kept(tmp_path, date="2026-11-21", verdicts=(verdict(NEW, "reproduced"),))
    assert cells(tmp_path)[3] == "1 reproduced"
    withdraw(newer, "Wrong images.")
    assert cells(tmp_path)[3] == "1 not reproduced"
    assert "2026-11-20" in cells(tmp_path)[5]


def test_it_stands_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    folder, readme = paper(tmp_path, NEW), tmp_path / README_MD
    assert write_findings(tmp_path, [folder]) is None
    readme.write_text("# Studies\n")
    assert write_findings(tmp_path, [folder]) is None
    readme.write_text(f"# Studies\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    assert write_findings(tmp_path, [folder]) == readme
    first = readme.read_text()
    assert first.startswith("# Studies\n\n" + BEGIN)
    assert first.endswith(END + "\n\nMore.\n")
    assert "old" not in first
    assert with_findings(first, tmp_path, [folder]) == first


def test_a_missing_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between"):
        with_findings(BEGIN, tmp_path, [])
