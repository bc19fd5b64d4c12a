"""Which fedleak this is."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__ = version("fedleak")
except PackageNotFoundError:  # a source tree on PYTHONPATH
    __version__ = "0+unknown"

SOURCE = Path(__file__).parent
HASH_LENGTH = 10
CHANGED = "-changed"


@cache
def source_commit() -> str | None:
    """The git commit of this code, with ``-changed`` if a tracked file of the package differs from it.

    None outside a clone, such as in an installed wheel, and without git.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:  # a copy inside some other repository
        return None
    commit = _git("rev-parse", f"--short={HASH_LENGTH}", "HEAD")
    if commit is None:
        return None
    return commit + CHANGED if _git("status", "--porcelain", "--untracked-files=no", "--", ".") else commit


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(SOURCE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
