"""Pages are found by name, those of attacks are made from the code, and their links lead to files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedleak.docs.attack_page import described
from fedleak.docs.library import PACKAGE, attack_pages, every_page, expanded, find_page, room_pages, written_pages
from fedleak.docs.site import TUTORIALS
from fedleak.errors import InputError
from fedleak.families import kinds
from fedleak.studies.ledger import FOLDER, load_ledger
from tests.scenarios import command

TREE = PACKAGE.parent
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_every_page_has_a_title_and_its_links_lead_somewhere() -> None:
    pages = every_page()
    places = {page.place for page in pages.values()}
    for page in pages.values():
        assert page.title, page.name
        folder = (TREE / page.place).parent
        for link in LINK.findall(page.text()):
            target = Path(folder / link).resolve()
            assert target.exists() or target.relative_to(TREE).as_posix() in places, f"{page.name}: {link}"


def test_every_written_page_is_in_the_contents() -> None:
    assert set(written_pages()) == {*TUTORIALS, "glossary", "reference"}


@pytest.mark.parametrize("kind", kinds("attack"))
def test_an_attack_says_what_it_is_and_when_it_fails(kind: str) -> None:
    what, fails = described(kinds("attack")[kind])
    assert re.search(r"arXiv \d{4}\.\d{4,5}|UAI|Phong et al\. 2018|\(ours", what), "its paper, or that it is ours"
    assert fails, "end the docstring of the attack with a paragraph that begins with: Fails on ..."
    text = attack_pages()[f"attacks/{kind}"].text()
    for heading in ("What it must know", "When it fails", "Measured here", "Settings"):
        assert f"\n## {heading}\n" in text


def test_the_numbers_are_those_of_the_ledger() -> None:
    (kept,) = [kept for kept in load_ledger(TREE / "scenarios/git") if kept.entry.study == "git-t7"]
    means = [line.metrics["mse"].mean for line in kept.entry.lines if line.attack == "git_spatial"]
    text = find_page("git_spatial").text()
    (row,) = [line for line in text.splitlines() if line.startswith("| [git-t7](")]
    assert f"{min(means):.5f} to {max(means):.4f}" in row
    assert f"| {kept.entry.date} | {len(means)} | 200 |" in row
    assert (TREE / "scenarios/git" / FOLDER / "git-t7").is_dir()


def test_a_page_is_found_by_the_end_of_its_name() -> None:
    assert find_page("gias").name == "attacks/gias"
    assert find_page("results").name == "rooms/results"
    assert find_page("rooms/attacks/labels/").name == "rooms/attacks/labels"
    assert find_page("Glossary").title == "Glossary"
    with pytest.raises(InputError, match="got 'glosary'; did you mean 'glossary'"):
        find_page("glosary")


def test_the_api_page_names_things_that_exist_and_have_docstrings() -> None:
    text = find_page("reference").text()
    shown = expanded(text)
    assert text.count("\n::: fedleak.") > 25
    assert ":::" not in shown
    assert "invert(model: 'nn.Module'" in shown.replace("invert(model: nn.Module", "invert(model: 'nn.Module'")
    assert shown.count("```text\n\n```") == 0, "nothing without a docstring"


def test_links_are_words_in_a_terminal() -> None:
    assert expanded("see [attacks](../a.md#b) and [arXiv](https://arxiv.org), ![x](y.png)") == (
        "see attacks and [arXiv](https://arxiv.org), ![x](y.png)"
    )


def test_the_command_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    listed = command(capsys, "docs").out
    assert all(name in listed for name in (*written_pages(), "attacks/lti", *room_pages()))
    shown = command(capsys, "docs", "glossary").out
    assert "Worst-sample reconstruction rate" in shown
    assert "### WSRR" in command(capsys, "docs", "glossary", "--plain").out
    assert command(capsys, "docs", "nothing-like-it").code == 2
