"""What is granted around refused folders; whole attacks meet the kernel in ``test_isolated``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fedleak.stages.attack.confinement import granted


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """``runs/mine`` between other folders, and a link that leads into it."""
    for name in ("runs/mine/truth", "runs/other", "code"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs/notes.txt").write_text("")
    (tmp_path / "shortcut").symlink_to(tmp_path / "runs/mine")
    return tmp_path


def names(tree: Path, *refused: str, top: str = "") -> set[str]:
    found = granted([tree / name for name in refused], tree / top if top else tree)
    return {path.relative_to(tree).as_posix() for path in found}


def test_everything_is_granted_but_the_refused_and_what_leads_there(tree: Path) -> None:
    assert names(tree, "runs/mine") == {"code", "runs/other", "runs/notes.txt"}


def test_a_tree_without_refused_folders_is_granted_whole(tree: Path) -> None:
    assert names(tree, "runs/mine", top="code") == {"code"}
    assert names(tree, "runs/mine", top="runs/mine") == set()


SCRIPT = """
import sys
from pathlib import Path
from fedleak.stages.attack.confinement import confine
print(confine([Path(sys.argv[1])]))
for name in sys.argv[1:]:
    try:
        print(Path(name, "file").read_text())
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_the_kernel_refuses_the_folder_or_says_that_it_cannot(tree: Path) -> None:
    for name in ("runs/mine", "runs/other"):
        (tree / name / "file").write_text(name)
    mine, other = str(tree / "runs/mine"), str(tree / "runs/other")
    done = subprocess.run([sys.executable, "-c", SCRIPT, mine, other], capture_output=True, text=True, check=True)
    confined, first, second = done.stdout.split()
    assert (confined, first) in {("True", "PermissionError"), ("False", "runs/mine")}
    assert second == "runs/other"
