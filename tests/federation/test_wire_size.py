"""Bytes on the wire: of the update as recorded, in an encoding that gives it back."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from fedleak.client.postprocess.encoding.update import decode_update, encode_update
from fedleak.pipeline import attack_run, write_report
from fedleak.progress import QuietProgress
from fedleak.studies.work import bytes_per_round
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

CHAINS: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "qsgd": [{"kind": "qsgd", "bits": 2}],
    "top_k": [{"kind": "top_k", "share": 0.05}, {"kind": "qsgd", "bits": 4}],
    "masked": [{"kind": "gradient_masking", "layers": ["*"]}],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_the_recorded_size_is_that_of_the_recorded_update(tmp_path: Path, chain: str) -> None:
    run = run_federation(tmp_path, scenario(federation__client__postprocess=CHAINS[chain]))
    reader = TranscriptReader(run.transcript)
    for record in reader.manifest.updates:
        shared = reader.manifest.parameters.unflatten(reader.update(record.row))
        data = encode_update(shared)
        assert record.bytes == len(data)
        assert all(torch.equal(tensor, shared[name]) for name, tensor in decode_update(data, shared).items())


def test_shared_buffers_count_too(tmp_path: Path) -> None:
    model: dict[str, Any] = {"model": {"kind": "convnet", "widths": [3, 4]}, "federation__client__batch_size": 4}
    sizes = {}
    for policy in ("train_local", "train_shared"):
        run = run_federation(tmp_path / policy, scenario(**model, federation__client__batch_norm=policy))
        sizes[policy] = TranscriptReader(run.transcript).manifest.updates[0].bytes or 0
    buffers = 2 * (3 + 4) * 4 + 2 * 8  # means and variances in float32, counters in int64
    assert buffers <= sizes["train_shared"] - sizes["train_local"] <= buffers + 4


def test_results_and_report_tell_the_size(tmp_path: Path) -> None:
    failed = [{"round": 1, "client": 1, "mode": "raise"}]
    checked = scenario(federation__faults=failed, federation__client__postprocess=CHAINS["qsgd"])
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    records = TranscriptReader(run.transcript).manifest.updates
    sizes = [record.bytes for record in records if record.bytes is not None]
    assert [record.bytes for record in records if record.status == "failed"] == [None]
    assert results.encoded_bytes == pytest.approx(sum(sizes) / len(sizes))
    assert bytes_per_round(results) == pytest.approx(3 * sum(sizes) / len(sizes))
    rows = list(csv.DictReader((run.root / "results.csv").read_text().splitlines()))
    by_place = {(str(r.client), str(r.round)): str(r.bytes) for r in records}
    assert all(row["encoded_bytes"] == by_place[row["victim"], row["round"]] for row in rows)
    html = write_report(run).read_text()
    assert f"<dt>Bytes per update</dt><dd>{round(results.encoded_bytes or 0):,}</dd>" in html
