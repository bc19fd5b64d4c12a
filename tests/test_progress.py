from __future__ import annotations

import io

import pytest
from rich.console import Console

from fedleak import progress


def test_a_log_gets_a_line_at_the_start_and_at_the_end() -> None:
    out = io.StringIO()
    with progress.terminal_progress(Console(file=out, width=80)) as shown:
        task = shown.task("training lti", 3)
        for _ in range(3):
            task.advance(note="held-out mse 0.1")
    assert out.getvalue().splitlines() == ["training lti", "  training lti: 3 of 3, held-out mse 0.1"]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)
    out = io.StringIO()
    with progress.terminal_progress(Console(file=out, width=80)) as shown:
        shown.task("rounds", 5).advance(2)
    assert out.getvalue().splitlines()[-1] == "  rounds: 2 of 5"


def test_a_terminal_gets_a_bar_with_the_note() -> None:
    out = io.StringIO()
    with progress.terminal_progress(Console(file=out, width=120, force_terminal=True)) as shown:
        shown.task("rounds", 2).advance(2, note="test accuracy 0.500")
        shown.say("a line that [stays]")
    assert "test accuracy 0.500" in out.getvalue()
    assert "a line that [stays]" in out.getvalue()


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = progress.QuietProgress()
    quiet.task("rounds", 2).advance(note="x")
    quiet.say("y")
    assert capsys.readouterr() == ("", "")
