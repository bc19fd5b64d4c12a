from __future__ import annotations

import pytest

from fedleak.errors import InputError, listed, shorten


@pytest.mark.parametrize("limit", [20, 21, 80])
def test_a_long_value_keeps_both_ends_and_the_limit(limit: int) -> None:
    short = shorten("/" + "deep/" * 40 + "my.yaml", limit=limit)
    assert len(short) == limit
    assert short.startswith("'/deep")
    assert "..." in short
    assert short.endswith("yaml'")


def test_a_short_value_is_shown_whole() -> None:
    assert shorten("x" * 78) == repr("x" * 78)


def test_an_input_error_names_the_file_however_deep_it_lies() -> None:
    assert "my.yaml" in str(InputError("SCENARIO", "/" + "deep/" * 40 + "my.yaml", "there is no such file"))


def test_a_list_of_names_is_cut_and_counted() -> None:
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed(["a", "b", "c", "d"], most=2) == "'a', 'b' and 2 others"
