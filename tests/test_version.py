"""Which fedleak this is, and that a source tree runs without being installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from fedleak.version import __version__

ROOT = Path(__file__).parents[1]
UNINSTALLED = """
import runpy, sys
from importlib.metadata import MetadataPathFinder
find = MetadataPathFinder.find_distributions
MetadataPathFinder.find_distributions = classmethod(
    lambda cls, context: (d for d in find(context) if d.metadata["Name"] != "fedleak")
)
sys.argv = ["fedleak", *sys.argv[1:]]
runpy.run_module("fedleak", run_name="__main__")
"""
"""``python -m fedleak``, where no installed fedleak is known."""


def uninstalled(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", UNINSTALLED, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_version_is_the_installed_one() -> None:
    try:
        assert version("fedleak") == __version__
    except PackageNotFoundError:
        assert __version__ == "0+unknown"


def test_the_declared_version_is_a_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(part.isdecimal() for part in project["version"].split("."))


@pytest.mark.parametrize(
    ("arguments", "out"),
    [(["--version"], "fedleak 0+unknown\n"), (["validate", "quickstart"], "quickstart: valid\n")],
)
def test_a_source_tree_runs_without_being_installed(arguments: list[str], out: str) -> None:
    done = uninstalled(*arguments)
    assert (done.returncode, done.stdout) == (0, out), done.stderr
