from __future__ import annotations

from pathlib import Path

from fedleak.serve.listing import Entry, entries


def by_path(folder: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries(folder)}


def test_what_runs_comes_first_with_its_progress(folder: Path) -> None:
    first = entries(folder)[0]
    assert (first.path, first.state, first.progress) == ("deep/busy", "running", "attacking with dlg: 0 of 12")
    assert not first.is_comparable


def test_a_finished_run_has_its_verdict_and_its_report(folder: Path) -> None:
    entry = by_path(folder)["hidden-4"]
    assert (entry.kind, entry.state, entry.pages) == ("run", "finished", ("report.html",))
    assert entry.headline.name == "hidden-4"
    assert entry.headline.tone in {"leaks", "unclear", "holds"}
    assert entry.headline.facts == "1 attack, no defense"
    assert entry.is_comparable


def test_a_stopped_run_is_known_by_its_scenario(folder: Path) -> None:
    entry = by_path(folder)["stopped"]
    assert (entry.state, entry.headline.name, entry.headline.text) == ("stopped", "half <b>done</b>", "slow")
    assert entry.headline.facts == "fedleak run stopped continues it"


def test_results_that_cannot_be_read_are_told(folder: Path) -> None:
    (folder / "hidden-4" / "results.json").write_text("{")
    entry = by_path(folder)["hidden-4"]
    assert entry.state == "unreadable"
    assert "not readable results" in entry.headline.text


def test_new_results_are_read_anew(folder: Path) -> None:
    assert by_path(folder)["hidden-4"].headline.name == "hidden-4"
    path = folder / "hidden-4" / "results.json"
    path.write_text(path.read_text("utf-8").replace('"name": "hidden-4"', '"name": "another"', 1))
    assert by_path(folder)["hidden-4"].headline.name == "another"


def test_links_are_not_followed(folder: Path) -> None:
    assert not any(path.startswith("link") for path in by_path(folder))


def test_a_study_is_one_entry_without_its_cells(four_cells: Path) -> None:
    (entry,) = entries(four_cells)
    assert (entry.path, entry.kind, entry.state) == (".", "study", "finished")
    assert entry.address("report.html") == "/at/report.html"
    assert entry.headline.facts.startswith("4 of 4 cells")


def test_entries_are_found_by_words_and_state(folder: Path) -> None:
    entry = by_path(folder)["hidden-4"]
    assert entry.matches("HIDDEN finished", "")
    assert entry.matches("", "finished")
    assert not entry.matches("hidden", "running")
    assert not entry.matches("hidden nothing-of-the-kind", "")
