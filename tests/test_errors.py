from __future__ import annotations

import pytest

from fedleak.errors import InputError, nearest, shorten


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
