"""Every package that fedleak imports is declared, and every declared one is imported."""

from __future__ import annotations

import ast
import functools
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
EXTRAS = ("docs", "dp", "mlflow", "tensorboard", "wandb")
"""Those for users."""
SKINNY = {"mlflow": "mlflow-skinny"}
"""Modules that are not called as their distribution, which need not be installed."""
INDIRECT = {
    "tensorboard",  # torch.utils.tensorboard needs it
    "mkdocs-material",  # named in mkdocs.yml
    "mkdocstrings",  # named in mkdocs.yml
}
"""What is declared without being imported."""


def imported() -> set[str]:
    """Top-level names of everything that a module of fedleak imports, the standard library left out."""
    names: set[str] = set()
    for path in (ROOT / "fedleak").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(str(node.module))
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"fedleak"}


def declared() -> dict[str, Requirement]:
    """Requirements of the package and its extras for users, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in EXTRAS for line in extras[name])]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


@functools.cache
def distributions() -> dict[str, list[str]]:
    """Distributions by the modules that they provide: a walk over the files of everything installed, made once."""
    return {module: list(names) for module, names in packages_distributions().items()}


def distribution(module: str, known: set[str]) -> str:
    """The distribution that provides a module; of several, such as a skinny one, the one that is declared."""
    found = {canonicalize_name(name) for name in distributions().get(module, [])}
    return next(iter(sorted(found & known) or sorted(found)), SKINNY.get(module, module))


def test_every_import_is_declared() -> None:
    known = set(declared())
    assert {distribution(module, known) for module in imported()} - known == set()


def test_nothing_is_declared_that_is_not_imported() -> None:
    known = set(declared())
    used = {distribution(module, known) for module in imported()}
    assert known - used == INDIRECT


def test_every_requirement_has_a_lower_bound() -> None:
    bounds = {name: {clause.operator for clause in line.specifier} for name, line in declared().items()}
    assert [name for name, operators in bounds.items() if ">=" not in operators] == []
