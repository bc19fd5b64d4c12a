from __future__ import annotations

from typing import Literal

import pytest
import torch

from fedleak.attacks.base import Reconstruction
from fedleak.errors import AttackFailedError
from fedleak.stages.attack.attempts import check, failed, group_by_model
from fedleak.transcript.manifest import UpdateRecord


def update(row: int, version: int = 0, samples: int | None = 2, lag: int = 0) -> UpdateRecord:
    number = version + 1 + lag
    return UpdateRecord(row=row, round=number, client=1, model_version=version, samples=samples, status="ok")


def rows(updates: list[UpdateRecord], most: int, version: Literal["current", "known"] = "current") -> list[list[int]]:
    return [[one.row for one in group] for group in group_by_model(updates, most, version=version)]


def test_only_updates_of_one_model_version_and_batch_size_go_together() -> None:
    updates = [update(0), update(1), update(2, samples=3), update(3, version=1), update(4, version=1)]
    assert rows(updates, 8) == [[0, 1], [2], [3, 4]]


def test_late_updates_go_with_those_that_the_attack_takes_for_of_one_version() -> None:
    updates = [update(0, version=2), update(1, version=1, lag=1), update(2, version=1, lag=2), update(3, version=3)]
    assert rows(updates, 8) == [[0, 1], [2, 3]], "by the round"
    assert rows(updates, 8, "known") == [[0], [1, 2], [3]]


@pytest.mark.parametrize(
    ("count", "most", "sizes"), [(5, 4, [3, 2]), (8, 4, [4, 4]), (3, 1, [1, 1, 1]), (9, 4, [3, 3, 3])]
)
def test_shares_are_as_equal_as_can_be(count: int, most: int, sizes: list[int]) -> None:
    groups = rows([update(row) for row in range(count)], most)
    assert [len(group) for group in groups] == sizes
    assert [row for group in groups for row in group] == list(range(count))


def test_nothing_to_attack_is_no_group() -> None:
    assert rows([], 3) == []


def test_a_failure_has_its_reason() -> None:
    assert failed(update(3), "no luck", 1.5).model_dump()["reason"] == "no luck"


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        check(Reconstruction(torch.zeros(1, 3, 8, 8)), (1, 8, 8))
    with pytest.raises(AttackFailedError, match="not finite"):
        check(Reconstruction(torch.full((1, 1, 8, 8), torch.nan)), (1, 8, 8))
    check(Reconstruction(torch.zeros(1, 1, 8, 8)), (1, 8, 8))
