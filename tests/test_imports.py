"""Who may import whom, seen in fresh interpreters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios import run_federation, scenario


def modules_after(code: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after ``code``."""
    ending = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded(modules: set[str], *names: str) -> list[str]:
    """Which of ``names``, or what lies below them, are among ``modules``."""
    return sorted(m for m in modules if any(f"{m}.".startswith(f"{name}.") for name in names))


ROOT = Path(__file__).parents[1]


def contract(root: Path) -> subprocess.CompletedProcess[str]:
    """What the import contract of ``pyproject.toml`` says of the package beside it."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)


def test_the_import_contract_holds() -> None:
    outcome = contract(ROOT)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("models/lenet.py", "from fedleak.server.aggregation.base import Aggregation", "models is not allowed"),
        ("client/guard/base.py", "from fedleak.scenario.schema import Scenario", "client is not allowed"),
        ("attacks/matching.py", "from fedleak.data.sources.base import Dataset", "attacks is not allowed"),
        ("stages/attack/device.py", "from fedleak.stages.score.truth import open_truth", "stages.attack is not"),
    ],
)
def test_the_import_contract_fails_when_someone_breaks_it(tmp_path: Path, file: str, line: str, complaint: str) -> None:
    shutil.copytree(ROOT / "fedleak", tmp_path / "fedleak", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "fedleak" / file
    path.write_text(path.read_text() + f"\n{line}\n")
    outcome = contract(tmp_path)
    assert outcome.returncode == 1
    assert complaint in " ".join(outcome.stdout.split())


ALL_ATTACKS = """
import importlib, pkgutil, fedleak.attacks
for module in pkgutil.walk_packages(fedleak.attacks.__path__, "fedleak.attacks."):
    importlib.import_module(module.name)
"""


def test_attacks_know_nothing_of_the_other_side() -> None:
    modules = modules_after(ALL_ATTACKS)
    assert "fedleak.attacks.generative.lti" in modules
    forbidden = ("data", "federation", "metrics", "results", "server", "stages", "scenario", "pipeline", "report",
                 "run_directory", "transcript.reader", "transcript.writer")  # fmt: skip
    assert loaded(modules, *(f"fedleak.{name}" for name in forbidden), "flwr", "ray", "datasets", "sklearn") == []


def test_the_attack_command_needs_neither_flower_nor_ray_nor_data_sets(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario())
    code = f"""
from fedleak.cli.app import main
try:
    main(["attack", {str(run.root)!r}, "--quiet"])
except SystemExit as end:
    assert end.code == 0, end.code
"""
    modules = modules_after(code)
    assert "fedleak.stages.attack.session" in modules
    assert (run.root / "results.json").is_file()
    names = ("flwr", "flwr_datasets", "ray", "datasets", "sklearn.datasets")
    assert loaded(modules, *names, "fedleak.federation") == []


@pytest.mark.parametrize("module", ["fedleak", "fedleak.cli.app", "fedleak.report.build"])
def test_light_modules_stay_light(module: str) -> None:
    assert loaded(modules_after(f"import {module}"), "torch", "flwr", "ray") == []
