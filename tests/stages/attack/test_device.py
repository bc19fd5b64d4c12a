from __future__ import annotations

import pytest
import torch

from fedleak.errors import InputError
from fedleak.stages.attack.device import choose_device

GPUS = torch.cuda.device_count()


def test_auto_is_a_gpu_if_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=f"device: got 'cuda:{GPUS}'; this machine has {GPUS} CUDA devices"):
        choose_device(f"cuda:{GPUS}")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is a Metal device")
def test_a_metal_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="this machine has no Metal device"):
        choose_device("mps")
