from __future__ import annotations

from typing import Literal

import pytest

from fedleak.client.local_sgd import LocalSgd
from fedleak.client.schedule.base import Schedule


class Falling(Schedule):
    """Falls in equal steps, to the share 1 / steps."""

    kind: Literal["falling"] = "falling"

    def factor(self, step: int, *, steps: int) -> float:
        return (steps - step) / steps


def test_a_schedule_of_ones_own_multiplies_the_learning_rate() -> None:
    settings = LocalSgd.model_construct(**(dict(LocalSgd()) | {"schedule": Falling()}))
    assert list(settings.rates(0.4, 4)) == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_the_base_alone_is_no_schedule() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Schedule()  # type: ignore[abstract]
