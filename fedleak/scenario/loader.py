"""The YAML that fedleak accepts: unique keys, finite numbers, bounded sizes, no tags.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), as editors read them:
``1e-3`` is a number; ``yes``, ``010``, ``1:30`` and dates are texts, so a setting that needs a number refuses them.
"""

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

import yaml

MOST_NODES = 50_000
"""Keys, values, lists and mappings of a YAML text, each alias counted as what it stands for."""
DEEPEST = 50
"""Levels of nested lists and mappings."""
LONGEST_NUMBER = 40
"""Characters of a number."""

BOOL, INT, FLOAT, MERGE, NULL = (f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "merge", "null"))
DIGITS = r"[0-9](?:_?[0-9])*"
SCALARS = {
    BOOL: (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    INT: (r"[-+]?(?:0|[1-9](?:_?[0-9])*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)", "-+0123456789"),
    FLOAT: (
        rf"[-+]?(?:(?:{DIGITS}\.(?:{DIGITS})?|\.{DIGITS})(?:[eE][-+]?[0-9]+)?|{DIGITS}[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    MERGE: (r"<<", "<"),
    NULL: (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
"""Tag -> pattern of the plain scalars that have it, and their first characters."""


class RefusedYamlError(yaml.YAMLError):
    """Well-formed YAML that fedleak does not accept.

    Attributes:
        path: keys down to the place, joined by dots; empty at the top.
        value: what was found there.
        reason: what was expected.
        lines: its line numbers, from 1.
    """

    def __init__(self, path: str, value: object, reason: str, lines: tuple[int, ...]) -> None:
        self.path, self.value, self.reason, self.lines = path, value, reason, lines
        super().__init__(reason)


class Loader(yaml.SafeLoader):
    """The safe loader; what it refuses, it refuses before any object is built."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0
        self._path: list[str] = []
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node, counted."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._nodes
        self._path.append(index.value if isinstance(index, yaml.ScalarNode) else "" if index is None else str(index))
        self._check_event(event)
        node: yaml.Node | None = super().compose_node(parent, index)
        if event.anchor is not None:
            self._sizes.setdefault(event.anchor, self._nodes - before)
        self._path.pop()
        return node

    def _check_event(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            anchor = str(event.anchor)
            if anchor in self.anchors and anchor not in self._sizes:
                self._refuse(event, f"*{anchor}", "it stands inside of what it is an alias of")
            self._nodes += self._sizes.get(anchor, 0)
        elif event.tag is not None:
            self._refuse(event, event.tag, "tags are not accepted; write the plain value")
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._refuse(event, "a larger text", f"expected at most {MOST_NODES} values, with aliases written out")
        if len(self._path) > DEEPEST:
            del self._path[5:]  # enough to find the place
            self._refuse(event, "a deeper text", f"expected at most {DEEPEST} levels of lists and mappings")

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """A scalar; numbers are finite and short."""
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if node.tag in (INT, FLOAT):
            if len(node.value) > LONGEST_NUMBER:
                self._refuse(node, node.value, f"expected a number of at most {LONGEST_NUMBER} characters")
            if node.tag == FLOAT and not math.isfinite(float(_python(node.value))):
                self._refuse(node, node.value, "expected a finite number")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping; no two keys are equal after parsing, nor as text."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, key.id, "expected a name as the key")
            parsed = key.value if key.tag == MERGE else self.construct_object(key)
            for name in {parsed, str(parsed)}:
                if name in lines:
                    self._path.append(str(parsed))
                    self._refuse(key, parsed, "this key is given twice; keep one", lines[name])
            lines |= {parsed: line, str(parsed): line}
        return node

    def _refuse(self, place: Any, value: object, reason: str, first_line: int | None = None) -> NoReturn:
        line = place.start_mark.line + 1
        lines = (line,) if first_line is None else (first_line, line)
        raise RefusedYamlError(".".join(filter(None, self._path)), value, reason, lines)


class Dumper(yaml.SafeDumper):
    """The safe dumper; texts that either version of YAML reads as something else are quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """Equal parts are written out."""
        return True


def _python(number: str) -> str:
    return re.sub(r"\.(inf|nan)$", r"\1", number.lower())


for _tag, (_pattern, _first) in SCALARS.items():
    _compiled = re.compile(rf"(?:{_pattern})\Z")
    Loader.add_implicit_resolver(_tag, _compiled, list(_first))
    Dumper.add_implicit_resolver(_tag, _compiled, list(_first))
Loader.add_constructor(INT, lambda loader, node: int(node.value, 0))
Loader.add_constructor(FLOAT, lambda loader, node: float(_python(node.value)))
