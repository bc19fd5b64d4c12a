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
    assert out.getvalue().splitlines()[-1] == "  rounds: 2 of 5, 0:00:00 left"


def test_lines_become_fewer_as_work_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour and a half of a step every second: not a line every ten seconds."""
    now = 0.0
    monkeypatch.setattr("fedleak.progress.time.monotonic", lambda: now)
    lines: list[str] = []
    task = progress.LineProgress(lines.append).task("attack", 6000)
    for _ in range(5400):
        now += 1.0
        task.advance()
    assert 20 < len(lines) < 60
    assert lines[1] == "  attack: 11 of 6000, 1:39:49 left"


def test_a_terminal_gets_a_bar_with_the_note() -> None:
    out = io.StringIO()
    with progress.terminal_progress(Console(file=out, width=120, force_terminal=True)) as shown:
        shown.task("rounds", 2).advance(2, note="test accuracy 0.500")
        shown.say("a line that [stays]")
    assert "test accuracy 0.500" in out.getvalue()
    assert "a line that [stays]" in out.getvalue()


def test_a_usual_terminal_shows_the_note_and_the_times_whole() -> None:
    out = io.StringIO()
    note = "iteration 12000 of 24000, lowest matching loss 1.234e-05, 12 min 20 s left"
    with progress.terminal_progress(Console(file=out, width=80, force_terminal=True)) as shown:
        shown.task("attacking with [b]inverting_gradients[/b]_and_a_long_id", 20).advance(0, note=note)
    assert note in out.getvalue()
    assert "0/20" in out.getvalue()
    assert "-:--:--" in out.getvalue()


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = progress.QuietProgress()
    quiet.task("rounds", 2).advance(note="x")
    quiet.say("y")
    assert capsys.readouterr() == ("", "")
