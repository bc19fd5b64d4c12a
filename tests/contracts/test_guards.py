"""No guard raises a false alarm on an honest model, new or trained, and none changes the model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedleak.client.guard.base import Guard
from fedleak.families import kinds
from fedleak.models.base import Model
from fedleak.models.factory import CONSENT
from tests.builders import digits, with_required

KINDS = list(kinds("guard"))
MODELS: list[tuple[str, dict[str, Any]]] = [(kind, {}) for kind in kinds("model")]
MODELS += [("lenet", {"activation": "relu"}), ("mlp", {"hidden": [64, 32]}), ("convnet", {"widths": [8, 16]})]


def guard(kind: str) -> Guard:
    cls = kinds("guard")[kind]
    assert issubclass(cls, Guard)
    return with_required(cls)


def built(kind: str, settings: dict[str, Any], *, seed: int, shape: tuple[int, int, int] = (3, 32, 32)) -> nn.Module:
    cls = kinds("model")[kind]
    assert issubclass(cls, Model)
    return with_required(cls, **settings).build(shape, 10, seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("model", "settings"), MODELS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_model_raises_no_alarm_and_stays_as_it_is(
    kind: str, model: str, settings: dict[str, Any], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, "tests.builders:small_network")
    module = built(model, settings, seed=seed)
    before = copy.deepcopy(module.state_dict())
    assert guard(kind).inspect(module) == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(("model", "settings"), [("lenet", {"activation": "relu"}), ("mlp", {"hidden": [64]})])
def test_a_trained_model_raises_no_alarm(model: str, settings: dict[str, Any]) -> None:
    module = built(model, settings, seed=0, shape=(1, 8, 8))
    data = digits().train
    images, labels = torch.from_numpy(data.images[:512]).float() / 255, torch.from_numpy(data.labels[:512])
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for step in range(60):
        if step in {0, 5, 20}:
            assert [guard(kind).inspect(module) for kind in KINDS] == [[]] * len(KINDS)
        optimiser.zero_grad()
        F.cross_entropy(module(images), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float((module(images).argmax(dim=1) == labels).float().mean()) > 0.6, "it has learnt something"
    assert [guard(kind).inspect(module) for kind in KINDS] == [[]] * len(KINDS)
