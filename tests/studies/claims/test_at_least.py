from __future__ import annotations

import pytest

from fedleak.studies.claims.at_least import AtLeast
from fedleak.studies.claims.base import VerdictState
from tests.studies.builders import measurements

MEASURED = measurements([({}, {"a": {"psnr": [19.0, 21.0] * 20}, "b": {"psnr": [10.0]}})])


@pytest.mark.parametrize(("value", "state"), [(19, "reproduced"), (20, "inconclusive"), (21, "not_reproduced")])
def test_by_hand(value: float, state: VerdictState) -> None:
    claim = AtLeast(metric="psnr", value=value, where={"attack": "a"})
    assert claim.judge(MEASURED).state == state


def test_a_single_image_decides_nothing() -> None:
    assert AtLeast(metric="psnr", value=5, where={"attack": "b"}).judge(MEASURED).state == "inconclusive"


def test_every_place_counts_and_absent_metrics_leave_it_open() -> None:
    assert len(AtLeast(metric="psnr", value=5).check(MEASURED)) == 2
    assert AtLeast(metric="mse", value=5).judge(MEASURED).state == "inconclusive"


def test_words() -> None:
    assert AtLeast(metric="psnr", value=20).statement() == "psnr of every attack is at least 20"
