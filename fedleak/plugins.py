"""Kinds that other packages ship by entry points; nothing of theirs is imported before it is named or listed.

A package declares them in its ``pyproject.toml``; the name is the kind::

    [project.entry-points."fedleak.attacks"]
    my_attack = "my_package.my_attack:MyAttack"
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fedleak.errors import InputError, describe

GROUPS = {
    "fedleak.attacks": "fedleak.attacks",
    "fedleak.client.postprocess": "fedleak.postprocess",
    "fedleak.metrics": "fedleak.metrics",
    "fedleak.models": "fedleak.models",
    "fedleak.data.sources": "fedleak.datasets",
}
"""Package of a family -> the group of its entry points."""


@dataclass(frozen=True)
class PlugIn:
    """A kind of another package, not imported yet."""

    kind: str
    entry: EntryPoint

    @property
    def origin(self) -> str:
        """The package and its version."""
        package = self.entry.dist
        return f"{package.name} {package.version}" if package is not None else self.entry.value

    def load(self, base: type[Any]) -> type[Any]:
        """Import its class.

        Raises:
            InputError: naming the package and what is wrong, if it cannot be imported or is no such kind.
        """
        try:
            found = self.entry.load()
        except (Exception, SystemExit) as error:  # another package may raise anything
            raise self._broken(f"it cannot be imported: {describe(error)}") from error
        if not (isinstance(found, type) and issubclass(found, base)):
            raise self._broken(f"it is no subclass of {base.__name__} of {base.__module__}")
        name = getattr(found, "kind_name", str)()
        if name != self.kind:
            raise self._broken(f"its class has the kind {name!r}: name the entry point like it")
        return found

    def _broken(self, reason: str) -> InputError:
        allowed = f"{reason} (entry point {self.entry.value} of {self.origin}): mend or uninstall that package"
        return InputError(f"{self.entry.group}: {self.kind}", self.entry.value, allowed)


def plugins(package: str) -> dict[str, PlugIn]:
    """The kinds that installed packages add to the family of a package, by name; of two of one name, the first."""
    group = GROUPS.get(package)
    found: dict[str, PlugIn] = {}
    for entry in entry_points(group=group) if group is not None else ():
        found.setdefault(entry.name, PlugIn(entry.name, entry))
    return dict(sorted(found.items()))
