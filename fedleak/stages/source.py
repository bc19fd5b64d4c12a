"""Hashes of the code behind a scenario's components: the kinds in use, and what users bring by import path."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from pydantic import BaseModel

from fedleak.models.factory import CONSENT
from fedleak.records import read_bytes

IMPORT_PATH = re.compile(r"^([A-Za-z_][\w.]*):[A-Za-z_]\w*$")
LARGEST_SOURCE = 1 << 24
"""Largest module that is read, in bytes."""
_OURS = Path(__file__).resolve().parents[1]
_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def code_of(parts: Iterable[BaseModel]) -> dict[str, str]:
    """Name of a module -> hash of its code, without comments, docstrings and layout.

    It covers the module of every component in ``parts`` and, for a user's own code that the environment trusts, every
    module of the user's that it imports. What is installed is left out, and so are fedleak's shared parts.

    Args:
        parts: settings that hold components.
    """
    found: dict[str, str] = {}
    for name in sorted({name for part in parts for name in _modules(part, found)}):
        _add(name, found)
    return found


def _modules(value: Any, found: dict[str, str]) -> Iterator[str]:
    """Modules of the components below a value, and those that its texts name; classes without a file are added."""
    if isinstance(value, BaseModel):
        cls = type(value)
        if _file(cls.__module__) is None:
            found[f"{cls.__module__}.{cls.__qualname__}"] = code_of_class(cls)
        yield cls.__module__
        for name in cls.model_fields:
            yield from _modules(getattr(value, name), found)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _modules(item, found)
    elif isinstance(value, dict):
        yield from _modules(list(value.values()), found)
    elif isinstance(value, str) and value in os.environ.get(CONSENT, "").split(",") and IMPORT_PATH.match(value):
        yield value.partition(":")[0]


def code_of_class(cls: type[Any]) -> str:
    """Hash of the bytecode of a class that a session defines, and of the session's functions that it calls."""
    seen: dict[str, str] = {}
    functions = [getattr(value, "__func__", value) for value in vars(cls).values()]
    pending = [function for function in functions if isinstance(function, FunctionType)]
    while pending:
        function = pending.pop()
        name = f"{function.__module__}.{function.__qualname__}"
        if function.__module__ == cls.__module__ and name not in seen:
            seen[name] = _code_text(function.__code__)
            called = (function.__globals__.get(used) for used in function.__code__.co_names)
            pending += [other for other in called if isinstance(other, FunctionType)]
    return hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest()


def _code_text(code: CodeType) -> str:
    """Instructions, names and constants, without docstring, place and line numbers."""
    doc = code.co_consts[:1] if code.co_consts and isinstance(code.co_consts[0], str) else ()
    constants = code.co_consts[len(doc) :]
    inner = [_code_text(each) if isinstance(each, CodeType) else _text(each) for each in constants]
    return repr((code.co_code.hex(), code.co_names, code.co_varnames, inner))


def _text(constant: object) -> str:
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def _add(name: str, found: dict[str, str]) -> None:
    """Add a module, and the user's own modules that it imports."""
    path = _file(name)
    if name in found or path is None:
        return
    ours = path.is_relative_to(_OURS)
    if not ours and any(path.is_relative_to(folder) for folder in _INSTALLED):
        return
    try:
        tree = ast.parse(read_bytes(path, most=LARGEST_SOURCE))
    except (OSError, ValueError, SyntaxError) as error:
        found[name] = f"unreadable: {error}"
        return
    found[name] = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()
    for imported in () if ours else _imports(tree, name):
        _add(imported, found)


def _file(name: str) -> Path | None:
    """The Python file of a module; None if there is none."""
    known = sys.modules.get(name)
    file = getattr(known, "__file__", None)
    if file is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None
        file = spec.origin if spec is not None else None
    return Path(file).resolve() if file is not None and file.endswith(".py") else None


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree


def _imports(tree: ast.Module, name: str) -> Iterator[str]:
    """Names that may be modules among those that a module imports."""
    package = name if _is_package(name) else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_package(name: str) -> bool:
    path = _file(name)
    return path is not None and path.name == "__init__.py"
