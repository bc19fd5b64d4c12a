from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fedleak.client.dp_sgd import DpSgd


def test_no_noise_may_be_asked_for_and_delta_has_the_usual_value() -> None:
    settings = DpSgd(max_norm=1.5, noise_multiplier=0)
    assert (settings.max_norm, settings.noise_multiplier, settings.delta) == (1.5, 0.0, 1e-5)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"noise_multiplier": 1}, "max_norm"),
        ({"max_norm": 1}, "noise_multiplier"),
        ({"max_norm": 0, "noise_multiplier": 1}, "max_norm"),
        ({"max_norm": 1, "noise_multiplier": -0.1}, "noise_multiplier"),
        ({"max_norm": 1, "noise_multiplier": 1, "delta": 0}, "delta"),
        ({"max_norm": 1, "noise_multiplier": 1, "delta": 1}, "delta"),
        ({"max_norm": float("inf"), "noise_multiplier": 1}, "max_norm"),
        ({"max_norm": 1, "noise_multiplier": 1, "epsilon": 1}, "epsilon"),
    ],
)
def test_what_is_no_privacy_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        DpSgd(**settings)
