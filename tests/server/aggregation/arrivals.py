"""Updates of a model with one number, so that everything can be worked out by hand."""

from __future__ import annotations

import torch

from fedleak.server.aggregation.base import Arrival
from fedleak.tensors import NamedTensors


def model(value: float) -> NamedTensors:
    return {"w": torch.tensor([value]), "untouched": torch.tensor([7.0])}


def arrival(change: float, *, version: int = 0, origin: float = 0.0, samples: int = 1) -> Arrival:
    return Arrival({"w": torch.tensor([change])}, model(origin), samples, version)


def weight(state: NamedTensors) -> float:
    assert float(state["untouched"]) == 7
    return float(state["w"])
