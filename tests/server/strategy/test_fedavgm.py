"""FedAvgM's settings are those of Flower's class; its arithmetic is tested where Flower is, in tests/federation."""

from __future__ import annotations

import inspect

import flwr.serverapp.strategy as flower
import pytest
from pydantic import ValidationError

from fedleak.server.strategy.fedavgm import FedAvgM


def test_settings_are_arguments_of_flowers_class() -> None:
    assert set(FedAvgM().arguments()) <= set(inspect.signature(getattr(flower, FedAvgM.flower)).parameters)


@pytest.mark.parametrize("name", sorted(FedAvgM.model_fields.keys() - {"kind"}))
def test_settings_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        FedAvgM.model_validate({name: -1})
