"""What a user sees of the help, in 80 columns."""

from __future__ import annotations

import re

import click
import pytest
import typer

from fedleak.cli.app import app
from tests.scenarios import command

ROOT = typer.main.get_command(app)
assert isinstance(ROOT, click.Group)
COMMANDS = ROOT.commands


def plain(text: str) -> str:
    """Without frames and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_help_text_is_shown_whole(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is eaten as markup; every argument is explained in the text, and defaults are shown."""
    outcome = command(capsys, name, flag)
    assert outcome.code == 0
    shown, found = plain(outcome.out), COMMANDS[name]
    assert max(map(len, outcome.out.splitlines())) <= 80
    for text in (found.help or "").split("\n\n"):
        assert plain(text) in shown
    columns = re.sub(r"\s+", "", shown)
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            assert all(word in shown for word in (parameter.help or "").split()), parameter.name
            default = getattr(parameter, "show_default", None)
            assert parameter.help
            if isinstance(default, str):
                assert "[default:" in shown
                assert all(word in columns for word in default.split())
        else:
            metavar = (parameter.metavar or "").removesuffix("...")
            assert all(word in (found.help or "") for word in metavar.split("|")), metavar


def test_the_defaults_of_a_run_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    shown = plain(command(capsys, "run", "-h").out)
    for text in ("Directory to write to. [default: (runs/<name>-<hash>)]", "repeatable. [default: (none)]"):
        assert text.replace(" ", "") in shown.replace(" ", "")


def test_a_wrong_command_has_one_hint(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "rnu")
    assert outcome.code == 2
    assert outcome.err.count("Did you mean") == 1
    assert "'run'" in outcome.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--show-completion" in command(capsys, "-h").out
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # else it looks at the parent process
    assert "fedleak" in command(capsys, "--show-completion", shell).out
