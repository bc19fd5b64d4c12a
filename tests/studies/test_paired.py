from __future__ import annotations

import pytest

from fedleak.studies.paired import paired_differences
from fedleak.studies.records import CellRecord
from tests.studies.builders import record

EASY = [0.010, 0.020, 0.030, 0.040, 0.050, 0.060]
HARD = [0.012, 0.022, 0.031, 0.043, 0.052, 0.062]
"""Two thousandths more on every image, but for one and three."""


def cell(values: list[float], attack: str = "dlg", group: str = "g") -> CellRecord:
    return record({attack: {"mse": values}, "baseline_mean_image": {"mse": values}}, group=group)


def test_the_difference_is_second_minus_first_by_hand() -> None:
    (found,) = paired_differences(cell(EASY), cell(HARD))
    assert (found.attack, found.metric, found.images) == ("dlg", "mse", 6)
    assert (found.first, found.second) == (pytest.approx(0.035), pytest.approx(0.037))
    assert found.difference.mean == pytest.approx(0.002)


def test_its_interval_is_that_of_the_differences_and_not_of_the_means() -> None:
    """Images differ by a factor of six, the differences by a factor of three: t(5) = 2.5706, s = 0.00063246."""
    (found,) = paired_differences(cell(EASY), cell(HARD))
    half = 2.5706 * 0.00063246 / 6**0.5
    assert found.difference.low == pytest.approx(0.002 - half, rel=1e-3)
    assert found.difference.high == pytest.approx(0.002 + half, rel=1e-3)


def test_only_images_that_both_attacked_count() -> None:
    (found,) = paired_differences(cell(EASY), cell(HARD[:4]))
    assert (found.images, found.first) == (4, pytest.approx(0.025))


@pytest.mark.parametrize(("first", "second"), [("g", "h"), ("", "")])
def test_other_or_unknown_images_are_not_paired(first: str, second: str) -> None:
    assert paired_differences(cell(EASY, group=first), cell(HARD, group=second)) == ()


def test_two_single_attacks_are_paired_whatever_they_are_called() -> None:
    (found,) = paired_differences(cell(EASY), cell(HARD, attack="idlg"))
    assert found.attack == "dlg, idlg"


def test_of_several_attacks_those_of_one_name_are_paired() -> None:
    both = record({"dlg": {"mse": EASY}, "lti": {"mse": HARD}})
    assert [found.attack for found in paired_differences(both, cell(HARD))] == ["dlg"]
    assert paired_differences(both, cell(HARD, attack="idlg")) == ()
