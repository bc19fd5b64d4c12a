"""The code of the tutorials runs as they say: Python in one namespace, fedleak's commands, files that they name."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fedleak.docs.library import PAGES
from fedleak.docs.site import TUTORIALS
from tests.scenarios import command

BLOCK = re.compile(r'^```(python|sh|yaml)(?: title="([\w.-]+)")?\n(.*?)^```$', re.M | re.S)
EXECUTED = [name for name in TUTORIALS if BLOCK.search((PAGES / f"{name}.md").read_text("utf-8"))]


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """That of a module, in which annotations of classes can be looked up."""
    module = ModuleType("tutorial")
    monkeypatch.setitem(sys.modules, "tutorial", module)
    return vars(module)


@pytest.mark.parametrize("name", EXECUTED)
def test_its_code_runs(
    name: str,
    namespace: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, title, text in BLOCK.findall((PAGES / f"{name}.md").read_text("utf-8")):
        if kind == "python":
            exec(compile(text, f"{name}.md", "exec"), namespace)  # noqa: S102 - our own documentation
        elif kind == "yaml":
            Path(title).write_text(text, encoding="utf-8")
        else:
            for line in text.splitlines():
                verb, *arguments = shlex.split(line, comments=True)
                assert verb == "fedleak", line
                outcome = command(capsys, *arguments)
                assert outcome.code in ((0, 1) if arguments[0] == "doctor" else (0,)), outcome.err


def test_most_tutorials_have_code() -> None:
    assert set(TUTORIALS) - set(EXECUTED) == {"audit-a-flower-app"}
