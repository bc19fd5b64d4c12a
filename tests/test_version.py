"""Which code this is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import fedleak.version
from fedleak.version import CHANGED, source_commit


def test_the_commit_of_a_clone_is_known_and_no_other() -> None:
    commit = source_commit()
    if commit is None:  # installed from a wheel
        return
    assert re.fullmatch(rf"[0-9a-f]{{10,}}({CHANGED})?", commit)


def commit_of(copy: Path) -> str:
    """What a copy of the module says of itself, in a process of its own."""
    code = "import version; print(version.source_commit())"
    found = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_a_copy_in_another_repository_has_no_commit_and_changes_show(tmp_path: Path) -> None:
    shutil.copy(str(fedleak.version.__file__), tmp_path / "version.py")
    assert commit_of(tmp_path) == "None"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert commit_of(tmp_path) == "None"
    subprocess.run([*git, "add", "version.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    assert re.fullmatch(r"[0-9a-f]{10,}", commit_of(tmp_path))
    with (tmp_path / "version.py").open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert commit_of(tmp_path).endswith(CHANGED)
