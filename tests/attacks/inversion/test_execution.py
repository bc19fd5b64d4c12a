from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.inversion.execution import SMALL, for_size, multiplications
from fedleak.models.lenet import LeNet

CPU = torch.device("cpu")


def test_multiplications_by_hand() -> None:
    """3x3 kernels over 2 channels, 4 outputs at 6x6 places; then 144 inputs to 5 outputs."""
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    assert multiplications(module, (2, 8, 8)) == 4 * 6 * 6 * 2 * 9 + 144 * 5


def test_grouped_convolutions_count_their_own_channels() -> None:
    assert multiplications(nn.Conv2d(4, 8, 3, groups=2, padding=1), (4, 5, 5)) == 8 * 25 * 2 * 9


def test_one_image_on_a_lenet_is_small_and_sixteen_are_not() -> None:
    one = multiplications(LeNet().build((3, 32, 32), 10, seed=0), (3, 32, 32))
    assert one < SMALL < 16 * one


@pytest.mark.parametrize(("size", "small"), [(SMALL, True), (SMALL + 1, False)])
def test_threads_and_kernels_are_put_back(size: int, small: bool) -> None:
    torch.set_num_threads(2)
    before = torch.backends.mkldnn.enabled
    try:
        with for_size(size, CPU):
            assert (torch.get_num_threads() == 1) == small
            assert torch.backends.mkldnn.enabled == (before and not small)
        with pytest.raises(KeyError), for_size(size, CPU):
            raise KeyError
        assert torch.get_num_threads() == 2
        assert torch.backends.mkldnn.enabled == before
    finally:
        torch.set_num_threads(1)


def test_other_devices_are_left_alone() -> None:
    torch.set_num_threads(2)
    try:
        with for_size(1, torch.device("meta")):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
