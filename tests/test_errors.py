from __future__ import annotations

import time
from typing import Any

import pytest

from fedleak.errors import InputError, InputErrors, listed, nearest, shorten


@pytest.mark.parametrize("limit", [20, 21, 80])
def test_a_long_value_keeps_both_ends_and_the_limit(limit: int) -> None:
    short = shorten("/" + "deep/" * 40 + "my.yaml", limit=limit)
    assert len(short) == limit
    assert short.startswith("'/deep")
    assert "..." in short
    assert short.endswith("yaml'")


def test_a_name_is_no_hint_for_itself() -> None:
    assert nearest("1", ["1", "2"]) == ""
    assert nearest("quik", ["quick", "quik"]) == "did you mean 'quick'? "


def test_a_short_value_is_shown_whole() -> None:
    assert shorten("x" * 78) == repr("x" * 78)


def test_an_input_error_names_the_file_however_deep_it_lies() -> None:
    assert "my.yaml" in str(InputError("SCENARIO", "/" + "deep/" * 40 + "my.yaml", "there is no such file"))


def _bomb(levels: int) -> Any:
    value: Any = ["lol"] * 9
    for _ in range(levels):
        value = [value] * 9
    return value


@pytest.mark.parametrize(
    "value",
    [_bomb(12), {"a": _bomb(12)}, (_bomb(12),), "x" * 10**8, [["x" * 10**8]], 1 << 10**8, list(range(10**6))],
    ids=["list", "dict", "tuple", "text", "text in a list", "integer", "long list"],
)
def test_the_time_of_a_message_does_not_follow_the_size_of_the_value(value: Any) -> None:
    began = time.process_time()
    assert len(shorten(value)) <= 80
    assert time.process_time() - began < 0.2


def test_a_value_inside_itself_ends() -> None:
    inside: list[Any] = []
    inside.append(inside)
    assert shorten(inside).startswith("[[[[")


@pytest.mark.parametrize("value", [[], (), {}, (1,), (1, 2), [1, "a"], {"a": [1, {}], 2: None}, True, 1.5, b"x", [{}]])
def test_a_small_value_is_shown_as_python_shows_it(value: object) -> None:
    assert shorten(value) == repr(value)


def test_a_message_is_one_line_of_bounded_length() -> None:
    text = str(InputError("a\nb\x1b[31m" + "k" * 10**6, "v", "what\nis allowed" * 10**5))
    assert len(text) < 2400
    assert text.isprintable()


def test_a_message_names_the_first_of_many_errors() -> None:
    text = str(InputErrors([InputError(f"p{i}", i, "no") for i in range(1000)]))
    assert text.count("\n") == 20
    assert text.endswith("and 980 more errors")


def test_a_list_of_names_is_cut_and_counted() -> None:
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed(["a", "b", "c", "d"], most=2) == "'a', 'b' and 2 others"
