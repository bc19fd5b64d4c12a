from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.errors import InputError
from fedleak.studies.matrix import axis_name, describe, matches, parse_matrix, same, short_names

NAMES = ("a.x", "a.y", "b")
VALUES = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)
AXES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)


@given(AXES)
def test_points_are_the_product_in_order(axes: dict[str, list[int]]) -> None:
    expected = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    assert list(parse_matrix(axes).points()) == expected


@given(AXES.filter(bool), st.data())
def test_exclude_leaves_out_what_it_matches_and_nothing_else(axes: dict[str, list[int]], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(axes)), min_size=1, unique=True))
    hole = {name: data.draw(st.sampled_from(axes[name])) for name in names}
    every = parse_matrix(axes).points()
    kept = parse_matrix({**axes, "exclude": [hole]}).points()
    assert [point for point in every if not matches(point, hole)] == list(kept)


@given(AXES.filter(bool), st.data())
def test_include_adds_a_point_once(axes: dict[str, list[int]], data: st.DataObject) -> None:
    extra = {name: data.draw(st.integers(0, 20)) for name in axes}
    points = parse_matrix({**axes, "include": [extra, extra]}).points()
    assert sum(point == extra for point in points) == 1
    assert set(map(str, parse_matrix(axes).points())) <= set(map(str, points))


def test_no_axis_is_one_point() -> None:
    assert parse_matrix({}).points() == ({},)


def test_an_included_value_outside_the_axis_is_set() -> None:
    matrix = parse_matrix({"federation.rounds": [1], "include": [{"rounds": 7}]})
    assert [matrix.settings(point) for point in matrix.points()] == [
        [("federation.rounds", 1)],
        [("federation.rounds", 7)],
    ]


def test_variants_set_several_paths_under_one_name() -> None:
    matrix = parse_matrix({"defense": {"none": {}, "noisy": {"a": 1, "b.c": [2]}}})
    assert [matrix.settings(point) for point in matrix.points()] == [[], [("a", 1), ("b.c", [2])]]


def test_the_last_axis_runs_fastest() -> None:
    points = parse_matrix({"a": [1, 2], "b": [3, 4]}).points()
    assert [describe(point) for point in points] == ["a=1, b=3", "a=1, b=4", "a=2, b=3", "a=2, b=4"]


def test_components_are_labelled_by_kind() -> None:
    matrix = parse_matrix({"model": [{"kind": "mlp"}, {"kind": "lenet", "channels": 4}]})
    assert matrix.axes[0].labels == ("mlp", '{"kind": "lenet", "channels": 4}')


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ([], "matrix"),
        ({"a": 3}, "matrix.a"),
        ({"a": []}, "matrix.a"),
        ({"a": [1, 2, 1]}, "matrix.a.2"),
        ({"a": {"one": 3}}, "matrix.a.one"),
        ({"a": {1: {}}}, "matrix.a.1"),
        ({"a": [1.0, float("nan")]}, "matrix.a.1"),
        ({"a": [{"kind": "x", "y": [float("inf")]}]}, "matrix.a.0.y.0"),
        ({"a": {"one": {"b.c": -float("inf")}}}, "matrix.a.one.b.c"),
        ({"a": [1], "include": [{"a": float("nan")}]}, "matrix.include.0.a"),
        ({"a": [1], "exclude": [{"a": float("nan")}]}, "matrix.exclude.0.a"),
        ({name: list(range(10)) for name in "abcdefgh"}, "matrix"),
        ({"a": [1], "exclude": {"a": 1}}, "matrix.exclude"),
        ({"a": [1], "exclude": [{"b": 1}]}, "matrix.exclude.0.b"),
        ({"a": [1], "exclude": [{"a": 2}]}, "matrix.exclude.0.a"),
        ({"a": {"one": {}}, "include": [{"a": "two"}]}, "matrix.include.0.a"),
        ({"a": [1], "b": [1], "include": [{"a": 2}]}, "matrix.include.0"),
    ],
)
def test_what_is_wrong_is_named_by_its_yaml_path(raw: Any, path: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_matrix(raw)
    assert caught.value.path == path


def test_axes_go_by_the_end_of_their_path_where_it_is_unambiguous() -> None:
    known = ["a.b.pairs", "a.rounds", "b.rounds"]
    assert axis_name("pairs", known) == "a.b.pairs"
    assert axis_name("b.pairs", known) == "a.b.pairs"
    assert axis_name("rounds", known) is None
    assert axis_name("airs", known) is None
    assert short_names(known) == {"a.b.pairs": "pairs", "a.rounds": "a.rounds", "b.rounds": "b.rounds"}


def test_labels_compare_as_yaml_means_them() -> None:
    assert same(1, 1.0)
    assert not same(1, True)
    assert same(None, None)


def test_seeds_count_as_cells() -> None:
    axes = {"a": list(range(100)), "b": list(range(100))}
    assert len(parse_matrix(axes).points()) == 10_000
    with pytest.raises(InputError, match=r"^matrix: got '20000 cells'; expected at most 10000, seeds included$"):
        parse_matrix(axes, seeds=2)
