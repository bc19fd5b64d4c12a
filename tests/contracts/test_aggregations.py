"""Every aggregation rule follows its updates, changes no argument, and can be interrupted between rounds."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedleak.families import kinds
from fedleak.server.aggregation.base import Aggregation, Arrival
from fedleak.tensors import NamedTensors
from tests.builders import with_required

KINDS = list(kinds("aggregation"))
ROUNDS, CLIENTS = 4, 3


def rule(kind: str) -> Aggregation:
    cls = kinds("aggregation")[kind]
    assert issubclass(cls, Aggregation)
    return with_required(cls, **({"buffer": 4} if "buffer" in cls.model_fields else {}))


def start() -> NamedTensors:
    return {"w": torch.ones(2, 3), "running": torch.zeros(3), "count": torch.tensor(5), "kept": torch.ones(1)}


def arrivals(versions: list[NamedTensors], number: int) -> list[Arrival]:
    draws = torch.Generator().manual_seed(number)
    found = []
    for client in range(CLIENTS):
        version = max(0, number - client)
        change = {"w": torch.rand(2, 3, generator=draws), "running": torch.ones(3), "count": torch.tensor(2.0)}
        found.append(Arrival(change, versions[version], client + 1, version))
    return found


def run(kind: str, folder: Path | None) -> list[NamedTensors]:
    """All versions; between rounds the memory goes through a file in ``folder``."""
    versions, memory = [start()], {}
    for number in range(ROUNDS):
        model, kept = rule(kind).aggregate(versions[-1], arrivals(versions, number), memory, version=number)
        memory = dict(kept)
        if folder is not None and memory:
            save_file(memory, folder / "memory")
            memory = load_file(folder / "memory")
        versions.append(model)
    return versions


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_follows_and_keeps_its_names_and_types(kind: str) -> None:
    versions = run(kind, None)
    for name, tensor in start().items():
        assert {version[name].dtype for version in versions} == {tensor.dtype}
        assert {version[name].shape for version in versions} == {tensor.shape}
    assert (versions[-1]["w"] > 1).all()
    assert (versions[-1]["running"] > 0).all()
    assert versions[-1]["count"] > 5
    assert torch.equal(versions[-1]["kept"], torch.ones(1))


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_are_left_alone(kind: str) -> None:
    model = start()
    updates = arrivals([model], 0)
    before = copy.deepcopy((model, updates))
    rule(kind).aggregate(model, updates, {}, version=0)
    assert all(torch.equal(model[name], tensor) for name, tensor in before[0].items())
    for update, old in zip(updates, before[1], strict=True):
        assert all(torch.equal(update.change[name], tensor) for name, tensor in old.change.items())


@pytest.mark.parametrize("kind", KINDS)
def test_an_interruption_changes_nothing(kind: str, tmp_path: Path) -> None:
    for whole, continued in zip(run(kind, None), run(kind, tmp_path), strict=True):
        assert all(torch.equal(whole[name], continued[name]) for name in whole)
