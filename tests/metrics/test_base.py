from __future__ import annotations

import pytest
from pydantic import ValidationError

from fedleak.metrics.base import metric_settings
from fedleak.metrics.mse import Mse
from fedleak.metrics.psnr import Psnr

SETTINGS = metric_settings({"mse": Mse, "psnr": Psnr})


def test_every_metric_is_on_by_default() -> None:
    assert SETTINGS().enabled() == (Mse(), Psnr())


def test_null_leaves_a_metric_out() -> None:
    assert SETTINGS.model_validate({"mse": None}).enabled() == (Psnr(),)


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(ValidationError):
        SETTINGS.model_validate({"vmaf": {}})
