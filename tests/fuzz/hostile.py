"""Hostile values, and mutations of trees (YAML, JSON), of text and of bytes, as hypothesis strategies."""

from __future__ import annotations

import copy
import datetime
import json
import math
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar

from hypothesis import strategies as st

from fedleak.cli.kinds import EVERY_FAMILY, kinds_of

Tree: TypeAlias = Any
T = TypeVar("T")
Place: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a tree to one of its nodes."""

NUMBERS: tuple[Any, ...] = (
    -1, 0, 1, 2, 7, 255, 10**6, 10**9, 2**31, 2**63, 2**64, 10**18, 10**30, 10**400, -(10**30),
    -0.0, 0.5, 1.5, 1e-300, 1e16, 1e308, math.inf, -math.inf, math.nan,
)  # fmt: skip
TEXTS = (
    "", " ", "\n", "a" * 300, "b" * 5000, "\x00", "\x1b[31mred\x1b]0;title\x07", "\u202e", "\ud800", "💣" * 60,
    "../../../etc/passwd", "/dev/zero", "/", ".", "~", "~nobody-here", "file:///etc/passwd", "C:\\con", "a/b\\c",
    "%s%n", "{0}{x}", "[bold]x[/]", "[/]", "<script>alert(1)</script>", "${HOME}", "None", "nan", "1e9", "0x10", "-",
    "all", "others", "auto", "cpu", "cuda:99", "no_such_module:thing", "os:system", "a.b.c", "..", "kind", "1:30",
)  # fmt: skip
SHAPES: tuple[Any, ...] = (
    [], {}, [[]], [None], [[[[[[1]]]]]], {"kind": None}, {"kind": "no_such_kind"}, {"kind": ["lti"]}, {"kind": {}},
    {"": 1}, {"a": {"b": {"c": {"d": 1}}}}, [1, 2, 3], [-1], ["a", "a"], [0.1] * 3, [[1, 2], [3]], list(range(500)),
)  # fmt: skip
ONLY_YAML: tuple[Any, ...] = (
    datetime.date(2020, 1, 1),
    datetime.datetime(2020, 1, 1),
    b"\xff\x00",
    {1: 2},
    {None: 1},
    {True: 1},
)
PLAUSIBLE: tuple[Any, ...] = (1, 2, 3, 4, 8, 0.1, 0.5, 0.9, True, False, None, [1], [1, 2], "mse", "psnr", "a-name")
"""What may well be right somewhere, so that mutated inputs get further than the first check."""
LEAVES = (True, False, None, *NUMBERS, *TEXTS, *SHAPES)
SNIPPETS = (
    "\t", ":", ": ", "- ", "&a ", "*a", "<<: *a", "? ", "---\n", "...\n", "%YAML 9.9\n", "{", "}", "[", "]", "'", '"',
    "|", ">", "#", "!!python/object/apply:os.system ['true']", "!!binary x", "!!set {a}", "!!timestamp x", "!!int x",
    "!!float x", "!x ", "0x_", "0b_", "1:99:99", ".nan", ".inf", "=", "~", "\u2028", "\ufeff", "\x00", "\x85", "\r",
    "999999999999999999999999", "1e999", "2001-99-99", "@", "`", ",", "\\", "\ud800",
    "[" * 400, "{a: " * 400, "- " * 400,
)  # fmt: skip
BYTES = (
    b"",
    b"\x00",
    b"\xff",
    b"\xff\xfe",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    b"\x00" * 64,
    b"A" * 300,
)


def scattered(options: Sequence[T]) -> st.SearchStrategy[T]:
    """One of ``options``, each as likely as the others; hypothesis alone prefers the choices that it made before."""
    return st.integers(0, 2**32 - 1).map(lambda number: options[zlib.crc32(str(number).encode()) % len(options)])


def mostly(usual: st.SearchStrategy[T], *others: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Nine in ten values of ``usual``; ``st.one_of`` would count a strategy once, however often it is given."""
    branches = [usual] * (9 * len(others)) + list(others)
    return scattered(branches).flatmap(lambda branch: branch)


@cache
def kind_names() -> tuple[str, ...]:
    """Names of the kinds of every family."""
    return tuple(dict.fromkeys(name for family in EVERY_FAMILY for name in kinds_of(family)))


def leaves(*, yaml: bool = False) -> st.SearchStrategy[Any]:
    """Any hostile value that JSON, or YAML, can express."""
    known = LEAVES + (ONLY_YAML if yaml else ())
    return st.one_of(
        scattered(known),
        scattered(NUMBERS),
        scattered(kind_names()),
        scattered(kind_names()).map(lambda kind: {"kind": kind}),
        scattered(PLAUSIBLE),
        scattered(PLAUSIBLE),
        scattered(PLAUSIBLE),
        st.integers(-(10**6), 10**6),
        st.floats(),
        st.text(max_size=12),
    )


def places(tree: Tree, above: Place = ()) -> list[Place]:
    """Every node of a tree but its root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    below = [((*above, key), value) for key, value in items]
    return [place for own, value in below for place in (own, *places(value, own))]


def parent(tree: Tree, place: Place) -> Any:
    """The container that holds ``place``."""
    for key in place[:-1]:
        tree = tree[key]
    return tree


@st.composite
def mutated_trees(draw: st.DrawFn, trees: Sequence[Tree], *, yaml: bool = False, most: int = 2) -> Tree:
    """One of ``trees`` with one to ``most`` mutations."""
    tree = copy.deepcopy(draw(scattered(trees)))
    for _ in range(draw(st.integers(1, most))):
        every = places(tree)
        if not every:
            return draw(leaves(yaml=yaml))
        place = draw(scattered(every))
        _mutate(draw, tree, place, draw(scattered(every)), draw(leaves(yaml=yaml)))
    return tree


def _mutate(draw: st.DrawFn, tree: Tree, place: Place, other: Place, value: Any) -> None:
    """Change ``tree`` at ``place``: another value, a value from elsewhere in it, no value, another key, one more."""
    holder, key = parent(tree, place), place[-1]
    how = draw(scattered(("value", "value", "value", "copy", "remove", "rename", "add", "scale")))
    if how == "value":
        holder[key] = value
    elif how == "copy":
        holder[key] = copy.deepcopy(parent(tree, other)[other[-1]])
    elif how == "remove":
        del holder[key]
    elif how == "scale" and isinstance(holder[key], int | float):
        holder[key] = holder[key] * draw(scattered((-1, 0, 10, 1000, 10**6, 0.1)))
    elif isinstance(holder, list):
        holder.insert(draw(st.integers(0, len(holder))), copy.deepcopy(holder[key]))
    else:
        name = draw(scattered((str(other[-1]), *TEXTS[:10], *kind_names())))
        holder[name] = holder.pop(key) if how == "rename" else value


def as_json(tree: Tree) -> bytes:
    """A tree as a JSON file; NaN, infinities and lone surrogates as Python writes them."""
    return json.dumps(tree, indent=1, default=repr).encode("utf-8", "surrogatepass")


def mutated_json(content: bytes) -> st.SearchStrategy[bytes]:
    """A JSON file with one or two mutated values."""
    return mutated_trees([json.loads(content)], most=2).map(as_json)


@st.composite
def mutated_text(draw: st.DrawFn, texts: Sequence[str]) -> bytes:
    """One of ``texts`` with one to four spans replaced by hostile snippets, or by other spans of it, as UTF-8."""
    text = draw(scattered(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = draw(scattered((start, start, start + 1, start + 8, text.find("\n", start) + 1 or len(text))))
        source = draw(st.integers(0, len(text)))
        piece = draw(st.one_of(scattered(SNIPPETS), st.just(text[source : source + 30]), st.just("")))
        text = text[:start] + piece + text[max(start, stop) :]
    return text.encode("utf-8", "surrogatepass")


@st.composite
def mutated_bytes(draw: st.DrawFn, contents: Sequence[bytes], *, head: int = 0) -> bytes:
    """One of ``contents``, cut, overwritten, lengthened or spliced one to four times.

    Args:
        contents: what to begin with.
        head: half of the changes are made in the first ``head`` bytes, where formats have their headers.
    """
    data = draw(scattered(contents))
    for _ in range(draw(st.integers(1, 4))):
        last = len(data) if not head or draw(st.booleans()) else min(head, len(data))
        at = draw(st.integers(0, last))
        how = draw(scattered(("byte", "byte", "byte", "insert", "overwrite", "cut", "remove", "splice")))
        if how == "byte":
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif how in ("insert", "overwrite"):
            piece = draw(scattered(BYTES))
            data = data[:at] + piece + data[at + (len(piece) if how == "overwrite" else 0) :]
        elif how == "cut":
            data = data[:at]
        elif how == "remove":
            data = data[:at] + data[at + draw(st.integers(1, 40)) :]
        else:
            data = data[:at] + draw(scattered(contents))[at:]
    return data
