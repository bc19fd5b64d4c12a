"""``--set PATH=VALUE``: real and invented paths, hostile values, broken text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from fedleak.scenario.file import load_scenario
from tests.fuzz import bases
from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import LEAVES, SNIPPETS, TEXTS, leaves, mostly, places, scattered


@cache
def paths() -> tuple[str, ...]:
    """Dotted paths of every setting of the small scenario, given or by default."""
    resolved = load_scenario(bases.SMALL).model_dump(mode="json")
    given = [".".join(map(str, place)) for place in places(resolved)]
    return tuple(dict.fromkeys([*given, *given, "attacks.lti", "attacks.lti.hidden", "attacks.9.hidden", "matrix.x"]))


def values() -> st.SearchStrategy[str]:
    """Text for the right side: hostile values as YAML in one line, and what is hardly YAML."""
    flow = leaves(yaml=True).map(lambda value: bases.flow_text(value))
    return st.one_of(flow, scattered(TEXTS + SNIPPETS), scattered(LEAVES).map(str))


def overrides() -> st.SearchStrategy[str]:
    """``PATH=VALUE``, most of them with a path that exists."""
    known = scattered(paths())
    odd = st.one_of(
        scattered(("", ".", "a.", ".a", "a..b", "=", "name", "name.x", "budgets.more.x")), st.text(max_size=8)
    )
    path = mostly(known, st.tuples(known, odd).map(".".join), odd)
    whole = st.tuples(path, values()).map("=".join)
    return mostly(whole, scattered(TEXTS)).filter(lambda text: "\x00" not in text)  # as argv


def validate(arena: Arena, given: list[str], *more: str) -> None:
    """``validate`` the small scenario with ``--set`` for each of ``given``."""
    with arena.folder() as folder:
        path: Path = bases.write(folder, bases.SMALL)
        arena.run(["validate", *more, path, *(part for text in given for part in ("--set", text))], folder)


@efforts
def test_overrides_of_a_scenario(arena: Arena, effort: Effort) -> None:
    given = st.lists(overrides(), min_size=1, max_size=2)
    effort.over(given, lambda texts: validate(arena, texts), examples=140)


@efforts
def test_overrides_and_the_data(arena: Arena, effort: Effort) -> None:
    given = st.lists(overrides(), min_size=1, max_size=2)
    effort.over(given, lambda texts: validate(arena, texts, "--data", "--show"), examples=40)
