"""RESULTS.md of a small ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fedleak.errors import InputError
from fedleak.results.schema import Interval
from fedleak.studies.ledger import LedgerLine, LedgerVerdict, add_entry, claim_digest, claim_settings, withdraw
from fedleak.studies.report.ledger import paper_folders, render_results, write_results
from fedleak.studies.study import study_settings
from tests.studies.builders import ledger_entry, study

OLD = {"says": "Half are right.", "at_least": {"metric": "accuracy", "value": 0.5}}
NEW = {"says": "Half are right.", "at_least": {"metric": "final_accuracy", "value": 0.5}}
PUBLISHED = {"source": "A paper", "values": []}


def verdict(raw: dict[str, Any], state: str, **fields: Any) -> LedgerVerdict:
    (claim,) = study_settings({"claims": [raw]}).claims
    said = claim.says or claim.statement()
    own = {"statement": said, "state": state, "claim": claim_settings(claim), "digest": claim_digest(claim)}
    return LedgerVerdict.model_validate(own | fields)


def line(label: int, attack: str, mean: float, **fields: Any) -> LedgerLine:
    metrics = {"mse": Interval(mean=mean, low=mean / 2, high=2 * mean)}
    return LedgerLine.model_validate(
        {"point": {"a.pairs": label}, "attack": attack, "images": 8, "seeds": 1, "metrics": metrics} | fields
    )


def paper(tmp_path: Path, *claims: dict[str, Any]) -> Path:
    folder = tmp_path / "paper"
    folder.mkdir()
    raw = study(name="small", description="What is measured.", claims=list(claims), published=PUBLISHED)
    (folder / "small.yaml").write_text(yaml.safe_dump(raw))
    return folder


def row(text: str, state: str) -> str:
    return next(each for each in text.splitlines() if each.startswith("|") and state in each)


def test_a_verdict_stands_with_run_p_values_seeds_and_images(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    judged = verdict(NEW, "reproduced", p=0.0123, adjusted_p=0.0246)
    add_entry(folder, ledger_entry(verdicts=(judged,), lines=(line(30, "lti", 0.1),)))
    found = row(render_results(folder), "reproduced")
    assert [cell.strip() for cell in found.strip("|").split("|")] == [
        "Half are right.",
        "2026-11-26",
        "",
        "abc1234",
        "1",
        "8",
        "reproduced",
        "0.012",
        "0.025",
        "1",
    ]


def test_a_claim_that_changed_marks_earlier_runs_and_shows_its_words(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    add_entry(folder, ledger_entry(date="2026-11-20", verdicts=(verdict(OLD, "not_reproduced"),)))
    add_entry(folder, ledger_entry(verdicts=(verdict(NEW, "reproduced"),)))
    text = render_results(folder)
    old = row(text, "**not reproduced**")
    assert "**not reproduced**; judged by an older claim" in old
    assert 'Half are right. (`at_least: {"metric": "accuracy", "value": 0.5}`)' in old
    assert "older" not in row(text, "| reproduced |")


def test_every_claim_of_today_is_named_even_if_no_run_judged_it(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    add_entry(folder, ledger_entry(verdicts=(verdict(OLD, "reproduced"),)))
    assert "Judged by no run: Half are right." in render_results(folder)


def test_a_withdrawn_run_stays_and_does_not_count(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    path = add_entry(folder, ledger_entry(verdicts=(verdict(NEW, "reproduced"),), lines=(line(30, "lti", 0.1),)))
    withdraw(path, "wrong labels")
    text = render_results(folder)
    assert "~~reproduced~~ withdrawn" in text
    assert "wrong labels" in text
    assert "0.1 [0.05, 0.2]" in text
    assert "Judged by no run: Half are right." in text


def test_without_its_study_or_budget_every_verdict_is_an_older_one(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    add_entry(folder, ledger_entry(budget="gone", verdicts=(verdict(NEW, "reproduced"),)))
    assert "reproduced; judged by an older claim" in render_results(folder)
    (folder / "small.yaml").unlink()
    text = render_results(folder)
    assert "reproduced; judged by an older claim" in text
    assert "The study is no longer shipped." in text


def test_settings_that_are_not_those_of_today_are_named(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    today = yaml.safe_load((folder / "small.yaml").read_text())
    add_entry(folder, ledger_entry(date="2026-11-20", settings={**today, "claims": [], "description": "other words"}))
    assert "its settings differ" not in render_results(folder)
    add_entry(folder, ledger_entry(settings={**today, "seeds": [3], "attacks": []}))
    assert "its settings differ from those of the study today: attacks, seeds" in render_results(folder)


def test_numbers_stand_beside_the_published_ones(tmp_path: Path) -> None:
    folder = paper(tmp_path)
    lines = (line(30, "lti", 0.1, published={"mse": 0.039}), line(30, "git", 0.02), line(60, "lti", 0.05))
    add_entry(folder, ledger_entry(lines=lines))
    text = render_results(folder)
    assert "| pairs | lti | git |" in text
    assert "| 30 | 0.1 [0.05, 0.2] (published 0.039) | 0.02 [0.01, 0.04] |" in text
    assert "| 60 | 0.05 [0.025, 0.1] |  |" in text


def test_texts_cannot_break_the_table(tmp_path: Path) -> None:
    folder = paper(tmp_path)
    judged = verdict(NEW, "reproduced", statement="a | b\n<script>")
    add_entry(folder, ledger_entry(verdicts=(judged,)))
    assert "a \\| b &lt;script&gt;" in render_results(folder)


def test_what_is_written_is_what_is_rendered(tmp_path: Path) -> None:
    folder = paper(tmp_path, NEW)
    add_entry(folder, ledger_entry())
    assert paper_folders(tmp_path) == paper_folders(folder) == (folder,)
    path = write_results(folder)
    assert path.read_text() == render_results(folder)
    assert "NOTES.md" not in path.read_text()
    (folder / "NOTES.md").write_text("# Notes\n")
    assert "[NOTES.md](NOTES.md)" in render_results(folder)


def test_a_folder_without_a_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        paper_folders(tmp_path / "no")
    with pytest.raises(InputError, match="no ledger there"):
        paper_folders(tmp_path)
