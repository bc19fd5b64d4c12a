from __future__ import annotations

import pytest

from fedleak.report.marks import Mark, assign_marks, baseline_title, display_name
from tests.report.summaries import summary


def test_marks_stay_distinct_beyond_eight_attacks() -> None:
    marks = assign_marks(summary(f"a{i}", None) for i in range(24))
    assert len(set(marks.values())) == 24


def test_colours_come_first_and_dashes_when_they_are_used_up() -> None:
    marks = assign_marks(summary(f"a{i}", None) for i in range(10))
    assert [marks[f"a{i}"] for i in (0, 7, 8, 9)] == [Mark(1), Mark(8), Mark(1, "dashed"), Mark(2, "dashed")]


def test_baselines_take_no_mark() -> None:
    names = ("baseline_mean_image", "dlg", "lti")
    assert assign_marks(summary(name, None) for name in names) == {"dlg": Mark(1), "lti": Mark(2)}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dlg", "dlg"),
        ("baseline_mean_image", "mean public image"),
        ("baseline_of_tomorrow", "baseline_of_tomorrow"),
    ],
)
def test_baselines_are_shown_in_words(name: str, shown: str) -> None:
    assert display_name(summary(name, None)) == shown
    assert baseline_title(name) == shown


def test_an_attack_keeps_its_id_whatever_its_kind() -> None:
    named = summary("mine", None).model_copy(update={"kind": "baseline_mean_image"})
    assert display_name(named) == "mine"
