"""Every package that fedleak imports is declared, and every declared one is imported."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
EXTRA = {"mlflow": "mlflow-skinny", "tensorboard": "tensorboard", "opacus": "opacus"}
"""Imported only where the extra is installed."""


def imported() -> set[str]:
    """Top-level names of everything that a module of fedleak imports, the standard library left out."""
    names: set[str] = set()
    for path in (ROOT / "fedleak").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module))
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"fedleak"}


def declared() -> dict[str, Requirement]:
    """Requirements of the package and its extras for users, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in ("dp", "mlflow", "tensorboard") for line in extras[name])]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def distribution(module: str, known: set[str]) -> str:
    """The distribution that provides a module; of several, such as a skinny one, the one that is declared."""
    found = {canonicalize_name(name) for name in packages_distributions().get(module, [])}
    return next(iter(sorted(found & known) or sorted(found)), EXTRA.get(module, module))


def test_every_import_is_declared() -> None:
    known = set(declared())
    assert {distribution(module, known) for module in imported()} - known == set()


def test_nothing_is_declared_that_is_not_imported() -> None:
    known = set(declared())
    used = {distribution(module, known) for module in imported()}
    assert known - used == {"tensorboard"}  # torch.utils.tensorboard needs it


def test_every_requirement_has_a_lower_bound() -> None:
    bounds = {name: {clause.operator for clause in line.specifier} for name, line in declared().items()}
    assert [name for name, operators in bounds.items() if ">=" not in operators] == []
