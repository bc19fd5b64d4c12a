"""Study files: matrices, claims, published values, figures and tables with hostile values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fuzz import bases
from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import TEXTS, leaves, mutated_trees, scattered

OWN = ("matrix", "seeds", "claims", "published", "figure", "table", "resources", "costs", "budgets")
"""Keys that only studies have."""


def only_study_keys(tree: Any) -> Any:
    """A study's own keys, with the small scenario below them."""
    return {**bases.SMALL, **{key: value for key, value in tree.items() if key in OWN}}


def matrices() -> st.SearchStrategy[Any]:
    """Matrices that nobody wrote: axes of real and invented paths, levels of any value."""
    paths = scattered(("seed", "federation.rounds", "model.hidden", "attacks.lti", "exclude", "include", *TEXTS))
    levels = st.one_of(
        st.lists(leaves(yaml=True), max_size=4),
        leaves(yaml=True),
        st.dictionaries(paths, leaves(yaml=True), max_size=3),
    )
    return st.dictionaries(paths, levels, max_size=3).map(lambda matrix: {**bases.STUDY, "matrix": matrix})


def validate(arena: Arena, tree: Any) -> None:
    """``validate`` a study, and list it with ``studies``."""
    with arena.folder() as folder:
        path = bases.write(folder, tree)
        arena.run(["validate", path], folder)
        arena.run(["studies", folder], folder)


@efforts
def test_blocks_of_a_study(arena: Arena, effort: Effort) -> None:
    trees = [only_study_keys(tree) for tree in bases.shipped_trees() if "matrix" in tree] + [bases.STUDY] * 100
    effort.over(mutated_trees(trees, yaml=True), lambda tree: validate(arena, tree), examples=50)


@efforts
def test_invented_matrices(arena: Arena, effort: Effort) -> None:
    effort.over(matrices(), lambda tree: validate(arena, tree), examples=50)
