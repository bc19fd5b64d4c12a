from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedleak.client.guard.base import CraftedModelError, check_model
from fedleak.client.guard.imprint import Imprint
from fedleak.client.guard.trap_weights import TrapWeights
from fedleak.errors import FederationError
from fedleak.federation.client import app
from fedleak.federation.plan import make_plan
from fedleak.federation.serial_grid import SerialGrid
from fedleak.federation.server import Server
from fedleak.progress import QuietProgress
from fedleak.stages.federate import write_planned_truth
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import TranscriptWriter
from tests.client.guard.crafted import imprint_weights, network
from tests.scenarios import run_federation, scenario

GUARDED: dict[str, Any] = {
    "model": {"kind": "mlp", "hidden": [16]},
    "federation__client__guards": ["imprint", "trap_weights", "pass_through"],
}


def test_all_findings_are_named() -> None:
    crafted = network(*imprint_weights())
    check_model([TrapWeights()], crafted)
    with pytest.raises(CraftedModelError, match=r"imprint: layer 0: .*; imprint: layer 0: "):
        check_model([Imprint(), TrapWeights(), Imprint(energy=0.5)], crafted)


def test_a_client_refuses_a_crafted_model_and_shares_nothing(tmp_path: Path) -> None:
    plan = make_plan(scenario(**GUARDED, adversary__injection=None, attacks=[{"kind": "dlg", "iterations": 1}]))
    write_planned_truth(tmp_path / "truth", plan)
    server = Server(plan, TranscriptWriter(tmp_path / "transcript", "f"), tmp_path / "truth", QuietProgress())
    server.writer.allocate(updates=plan.recorded_updates, values=server.layout.size)
    first = next(layer for layer in server.model.modules() if isinstance(layer, nn.Linear))
    weights, bias = imprint_weights(*first.weight.shape)
    with torch.no_grad():
        first.weight.copy_(weights)
        first.bias.copy_(bias)
    with pytest.raises(FederationError, match=r"CraftedModelError: imprint: layer \S+: 100.0% of its weights'"):
        server.run(SerialGrid(app, 3))
    assert not server.writer.rounds


def test_honest_rounds_go_on_under_guards(tmp_path: Path) -> None:
    plain = run_federation(tmp_path / "plain", scenario(**(GUARDED | {"federation__client__guards": []})))
    guarded = run_federation(tmp_path / "guarded", scenario(**GUARDED))
    first, second = (TranscriptReader(run.transcript) for run in (plain, guarded))
    assert all(update.status == "ok" for update in second.manifest.updates)
    assert all(torch.equal(first.update(row), second.update(row)) for row in range(len(second.manifest.updates)))
