"""The ledger, RESULTS.md and NOTES.md of the shipped studies."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from fedleak.scenario.shipped import shipped_folder
from fedleak.studies.ledger import FOLDER, load_ledger
from fedleak.studies.places import without_places
from fedleak.studies.report.findings import README_MD, with_findings
from fedleak.studies.report.ledger import NOTES_MD, RESULTS_MD, paper_folders, render_results

PAPERS = paper_folders(shipped_folder())
ROOT = Path(__file__).parents[1]
VERDICT_WORDS = re.compile(
    r"\b(not[ _]?)?(reproduc\w*|inconclusive|verdicts?|claims?|refut\w+|confirm\w*|nothing[ _]leaked|not[ _]judged)\b",
    re.I,
)
"""Prose speaks of settings and causes; what a run says of a claim stands in RESULTS.md alone."""


def git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("folder", PAPERS, ids=lambda folder: folder.name)
def test_results_are_what_the_command_makes(folder: Path) -> None:
    written = (folder / RESULTS_MD).read_text(encoding="utf-8")
    assert written == render_results(folder), f"run: fedleak results write {folder}"


def test_the_table_of_findings_is_what_the_command_makes() -> None:
    written = (shipped_folder() / README_MD).read_text(encoding="utf-8")
    assert written == with_findings(written, shipped_folder(), PAPERS), "run: fedleak results write"


def test_there_are_no_results_without_a_ledger() -> None:
    assert {path.parent for path in shipped_folder().rglob(RESULTS_MD)} == set(PAPERS)


@pytest.mark.parametrize("folder", PAPERS, ids=lambda folder: folder.name)
def test_notes_hold_no_verdict(folder: Path) -> None:
    notes = folder / NOTES_MD
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.is_file() else []
    found = [f"{number}: {line}" for number, line in enumerate(lines, 1) if VERDICT_WORDS.search(line)]
    assert found == []


@pytest.mark.parametrize(
    "prose",
    ["It is not reproduced.", "Reproduced: all", "| claim | x |", "not_reproduced", "Verdict: good", "nothing leaked"],
)
def test_words_of_verdicts_are_found(prose: str) -> None:
    assert VERDICT_WORDS.search(prose)


@pytest.mark.parametrize("folder", PAPERS, ids=lambda folder: folder.name)
def test_entries_name_no_machine(folder: Path) -> None:
    for run in load_ledger(folder):
        entry = run.entry.model_dump(mode="json")
        assert without_places(entry) == entry, run.path


def changes(repository: Path, files: str) -> str:
    """Files that a commit, a merge or the working tree changed or deleted, with the commits."""
    own = ["-C", str(repository)]
    what = ["--no-renames", "--diff-filter=MDT", "--name-status"]
    return git(*own, "log", "-m", *what, "--format=%h", "--", files) + git(*own, "diff", "HEAD", *what, "--", files)


def test_changed_renamed_and_deleted_files_are_found(tmp_path: Path) -> None:
    own = ["-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    git(*own, "init", "-q")
    file, pattern = tmp_path / "scenarios" / "sok" / FOLDER / "sok-f7" / "one.json", f"scenarios/*/{FOLDER}/*.json"
    file.parent.mkdir(parents=True)
    for content in ("first", "second"):
        file.write_text(content)
        git(*own, "add", ".")
        git(*own, "commit", "-q", "-m", content)
        found = changes(tmp_path, pattern)
        assert bool(found) == (content == "second")
    file.rename(file.with_name("two.json"))
    assert "D\tscenarios/sok/results/sok-f7/one.json" in changes(tmp_path, pattern)


def test_no_file_of_the_ledger_was_changed_or_deleted() -> None:
    try:
        if git("rev-parse", "--is-shallow-repository").strip() != "false":
            pytest.skip("a shallow clone has no history")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no clone")
    assert changes(ROOT, f"scenarios/*/{FOLDER}/*.json") == ""


def test_the_history_of_sok_f7_and_git_t2_is_kept() -> None:
    sok = [run.entry for run in load_ledger(shipped_folder() / "sok") if run.entry.study == "sok-f7"]
    first, last = (next(entry for entry in sok if entry.commit == commit) for commit in ("8f032b1", "8525a4a"))
    assert [verdict.state for verdict in first.verdicts][1:3] == ["not_reproduced", "inconclusive"]
    assert [verdict.state for verdict in last.verdicts][1:3] == ["inconclusive", "reproduced"]
    before, after = first.verdicts[3], last.verdicts[3]
    assert before.claim is not None
    assert after.claim is not None
    assert (before.claim["metric"], after.claim["metric"]) == ("accuracy", "final_accuracy")
    assert before.digest != after.digest
    git_t2 = [run.entry for run in load_ledger(shipped_folder() / "git") if run.entry.study == "git-t2"]
    (last_run,) = (entry for entry in git_t2 if entry.commit == "7f9cacd")
    rows = (line for line in last_run.lines if "LeNet" in str(line.point["setting"]))
    lenet = {line.attack: line.metrics["mse"].mean for line in rows}
    assert (lenet["inverting_gradients"], lenet["lti"]) == (0.00336, 0.0181)
