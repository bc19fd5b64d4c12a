from __future__ import annotations

from pathlib import Path

import pytest
import torch

import fedleak
from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from fedleak.scenario.file import load_scenario
from fedleak.transcript.reader import TranscriptReader

RAW = {
    "name": "malicious",
    "dataset": "digits",
    "model": {"kind": "lenet", "channels": 4},
    "federation": {"clients": 3, "rounds": 1, "client": {"batch_size": 8}, "engine": {"kind": "serial"}},
    "adversary": {"level": 5, "public_images": 300, "crafting": {"kind": "imprint", "bins": 100}},
    "attacks": ["imprint"],
    "metrics": {"lpips": None},
    "analyses": ["guard_alarm"],
    "bootstrap_resamples": 100,
    "device": "cpu",
}


def test_a_scenario_names_a_malicious_server_from_end_to_end(tmp_path: Path) -> None:
    results = fedleak.run(RAW, out=tmp_path / "run")
    (attack,) = [summary for summary in results.attacks if not summary.is_baseline]
    assert attack.failures == 0
    assert "model_tampering" in attack.capabilities
    rows = [row for row in results.rows if row.attack == "imprint"]
    assert sum((row.metrics["psnr"] or 0) > 40 for row in rows) >= 10  # of 16
    assert {row.metrics["guard_alarm"] for row in rows} == {1.0}
    assert "a malicious server: 3 times a client was sent another model than the broadcast one" in results.notes
    reader = TranscriptReader(tmp_path / "run/transcript")
    assert reader.manifest.crafting is not None
    assert reader.manifest.crafting["kind"] == "imprint"
    assert reader.manifest.model["kind"] == "imprinted"
    sent = reader.sent(1, 1)
    assert sent is not None
    assert torch.linalg.matrix_rank(sent["imprint.measure.weight"]) == 1
    assert torch.linalg.matrix_rank(reader.model(0)["imprint.measure.weight"]) > 1, "the global model is honest"


def test_guarded_clients_refuse_it(tmp_path: Path) -> None:
    with pytest.raises(fedleak.errors.FederationError, match=r"imprint: layer imprint.measure: 100.0%"):
        fedleak.run(RAW, out=tmp_path / "run", overrides=["federation.client.guards=[imprint]"])


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["adversary.crafting={kind: trap_weights}", "attacks=[trap_weights]"], "begins with Conv2d"),
        (["adversary.crafting={kind: class_fishing, target: 10}", "attacks=[class_fishing]"], "classes 0 to 9"),
        (["adversary.crafting.bins=5000"], "take cuts: normal, fewer bins"),
    ],
)
def test_what_cannot_be_crafted_is_refused_before_anything_runs(overrides: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make_plan(load_scenario(RAW, overrides=overrides))
