"""FedAdam's settings are those of Flower's class; its arithmetic is tested where Flower is, in tests/federation."""

from __future__ import annotations

import inspect

import flwr.serverapp.strategy as flower
import pytest
from pydantic import ValidationError

from fedleak.server.strategy.fedadam import FedAdam


def test_settings_are_arguments_of_flowers_class() -> None:
    assert set(FedAdam().arguments()) <= set(inspect.signature(getattr(flower, FedAdam.flower)).parameters)


@pytest.mark.parametrize("name", sorted(FedAdam.model_fields.keys() - {"kind"}))
def test_settings_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        FedAdam.model_validate({name: -1})
