"""Trials of fast ways: what counts as agreement, and that trial batches can tell wrong ways apart."""

from __future__ import annotations

import pytest
import torch

from fedleak.client.trial import Shared, agree, trial_batches, works

LARGE, SMALL = torch.tensor([3.0, 4.0]), torch.tensor([0.001])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"a": LARGE * (1 + 9e-6)}, True),
        ({"a": LARGE * (1 + 3e-5)}, False),
        ({"b": SMALL + 4e-6}, True),  # a millionth of the norm of all tensors, 5
        ({"b": SMALL + 6e-6}, False),
        ({"b": torch.tensor([torch.nan])}, False),
    ],
)
def test_agreement_is_relative_to_each_tensor_and_to_all(change: dict[str, torch.Tensor], same: bool) -> None:
    expected = {"a": LARGE, "b": SMALL}
    assert agree({**expected, **change}, expected) is same


def test_other_names_do_not_agree() -> None:
    assert not agree({"a": LARGE}, {"a": LARGE, "b": SMALL})


def shared(value: float, buffer: float = 0.0) -> Shared:
    return {"w": torch.full((2, 3), value)}, {"mean": torch.full((2, 1), buffer)}, torch.zeros(2)


def test_a_way_that_raises_or_gives_something_else_does_not_work() -> None:
    def refuse() -> Shared:
        raise NotImplementedError("no batching rule")

    assert works(lambda: shared(1.0), shared(1.0))
    assert not works(lambda: shared(2.0), shared(1.0))
    assert not works(lambda: shared(1.0, buffer=1.0), shared(1.0)), "running statistics are part of the update"
    assert not works(refuse, shared(1.0))


def test_batches_differ_in_sign_and_size_and_repeat() -> None:
    images, classes = trial_batches((2, 1, 4, 4), (2,), torch.int64, like=torch.zeros(1, dtype=torch.float64))
    assert images.shape == (4, 2, 1, 4, 4)
    assert images.dtype == torch.float64
    assert torch.equal(images[1], -images[0])
    assert sorted(set(classes.flatten().tolist())) == [0, 1]
    again, _ = trial_batches((2, 1, 4, 4), (2,), torch.int64, like=torch.zeros(1, dtype=torch.float64))
    assert torch.equal(again, images)
