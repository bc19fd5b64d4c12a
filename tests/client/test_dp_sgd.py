from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fedleak.client.dp_sgd import DpSgd, poisson_batches


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


def test_poisson_batches_are_drawn_image_by_image() -> None:
    """40 images at the rate 0.1, 10 steps an epoch: binomial sizes of mean 4 and variance 3.6, every image alike."""
    order = poisson_batches(40, batch_size=4, epochs=400, seed=1)
    sizes = torch.tensor([float(len(chosen)) for chosen in order])
    assert len(order) == 4000
    assert float(sizes.mean()) == pytest.approx(4, abs=0.1)
    assert float(sizes.var()) == pytest.approx(3.6, abs=0.3)
    shares = torch.bincount(torch.cat(order), minlength=40) / len(order)
    assert float((shares - 0.1).abs().max()) < 0.02
    assert all(
        torch.equal(a, b) for a, b in zip(order, poisson_batches(40, batch_size=4, epochs=400, seed=1), strict=True)
    )


def test_batches_as_large_as_the_data_leave_nobody_out() -> None:
    assert [len(chosen) for chosen in poisson_batches(7, batch_size=9, epochs=2, seed=0)] == [7, 7]
