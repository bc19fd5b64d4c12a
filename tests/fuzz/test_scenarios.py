"""Scenario files: every shipped one with hostile values, other keys, and broken text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from tests.fuzz import bases
from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import mutated_text, mutated_trees, scattered

DEEP = 3000
CORPUS: dict[str, bytes] = {
    "empty": b"",
    "nothing": b"~",
    "a list": b"- 1",
    "a text": b"hello",
    "nul": b"\x00",
    "utf-16": "name: x\n".encode("utf-16"),
    "bom": b"\xef\xbb\xbfname: x\n",
    "latin-1": "name: é\n".encode("latin-1"),
    "png": b"\x89PNG\r\n\x1a\n\x00\x00",
    "deep list": b"name: " + b"[" * DEEP,
    "deep mapping": b"".join(b" " * i + b"a:\n" for i in range(DEEP)),
    "closed deep list": b"name: " + b"[" * DEEP + b"]" * DEEP,
    "cycle": b"&a {name: x, dataset: *a}",
    "cyclic list": b"name: &a [*a]",
    "aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(12))
    + b"name: *m\n",
    "merges": b"a: &a {k: 1}\n" + b"".join(b"m%d: {<<: *a}\n" % i for i in range(300)),
    "a key twice": b"name: x\nname: y\n",
    "a list as key": b"? [a, b]\n: 1\n",
    "a number as key": b"1: 2\n3.5: 4\n",
    "two documents": b"name: x\n---\nname: y\n",
    "python object": b"name: !!python/object/apply:os.system ['true']\n",
    "huge integer": b"seed: 1" + b"0" * 5000,
    "long line": b"name: " + b"x" * 200_000,
    "many keys": b"".join(b"k%d: 1\n" % i for i in range(3000)),
    "many attacks": b"attacks: [" + b"lti, " * 2000 + b"]\n",
    "sets and dates": b"name: !!set {a, b}\nseed: 2020-01-01\ndataset: !!binary AAAA\n",
    "sexagesimal": b"seed: 1:30:00\n",
}


def through(arena: Arena, content: bytes, *commands: list[str]) -> None:
    """Write ``content`` as a scenario and give it to each command as the last argument."""
    with arena.folder() as folder:
        path = folder / "case.yaml"
        path.write_bytes(content)
        for command in commands:
            arena.run([*command, path], folder)


@pytest.mark.parametrize("name", CORPUS)
def test_what_is_hardly_a_scenario(arena: Arena, name: str) -> None:
    content = CORPUS[name]
    through(arena, content, ["validate"], ["doctor"], ["run", "--out", "out"], ["study", "--serial", "--out", "out"])


def as_yaml(tree: Any) -> bytes:
    return bases.text_of(tree).encode("utf-8", "surrogatepass")


@efforts
def test_shipped_scenarios_with_hostile_values(arena: Arena, effort: Effort) -> None:
    inputs = mutated_trees(bases.shipped_trees(), yaml=True).map(as_yaml)
    effort.over(inputs, lambda content: through(arena, content, ["validate"]), examples=36)


@efforts
def test_shipped_scenarios_with_broken_text(arena: Arena, effort: Effort) -> None:
    effort.over(mutated_text(bases.shipped_texts()), lambda content: through(arena, content, ["validate"]), examples=28)


@efforts
def test_budgets_of_mutated_scenarios(arena: Arena, effort: Effort) -> None:
    trees = [tree for tree in bases.shipped_trees() if tree.get("budgets")]
    inputs = st.tuples(mutated_trees(trees, yaml=True).map(as_yaml), scattered(("smoke", "quick", "full", "1")))
    effort.over(inputs, lambda case: through(arena, case[0], ["validate", "--show", "--budget", case[1]]), examples=20)


@efforts
def test_a_small_scenario_and_its_data(arena: Arena, effort: Effort) -> None:
    inputs = mutated_trees([bases.SMALL], yaml=True).map(as_yaml)
    effort.over(inputs, lambda content: through(arena, content, ["validate", "--data"], ["doctor"]), examples=32)
