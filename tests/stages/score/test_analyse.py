"""Analyses through a real run: the same images at the model version of their update."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

import fedleak
from fedleak import seeds
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.analysis.igsa import Igsa
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory, scenario_fingerprint
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import scenario, tiny

CHEAP = {"kind": "igsa", "samples": 2, "projections": 2}
ENTRY = {"kind": "inverting_gradients", "iterations": 2, "compile": "never"}
SETTINGS = {
    "attacks": [ENTRY],
    "adversary": {"level": 1, "public_images": 60, "victims": {"clients": [1], "rounds": [1, 3]}},
    "federation__rounds": 3,
    "federation__client": {"batch_size": 2},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("analysed") / "run"
    fedleak.run(tiny(analyses=[CHEAP], **SETTINGS), out=root)
    return root


def test_rows_carry_the_value_of_their_image_at_the_model_of_their_update(finished: Path) -> None:
    run = RunDirectory(finished)
    reader, truth, chosen = TranscriptReader(run.transcript), TruthReader(run.truth), run.scenario()
    rows = list(csv.DictReader((finished / "results.csv").open()))
    for update in reader.manifest.updates:
        network = chosen.model.build(reader.manifest.input_shape, 10, seed=0).eval()
        network.load_state_dict(reader.model(update.model_version))
        images = truth.batch(update.row)
        leaked = LeakedBatch(network, images.images, images.labels, mean=reader.manifest.mean, std=reader.manifest.std)
        generator = seeds.torch_generator(chosen.seed, "analysis", "igsa", update.client)
        expected = Igsa(samples=2, projections=2).evaluate(leaked, generator=generator)
        some = [row for row in rows if row["round"] == str(update.round)]
        assert {row["attack"] for row in some} >= {"inverting_gradients", "baseline_mean_image"}
        for row in some:
            torch.testing.assert_close(torch.tensor(float(row["igsa"])), expected[int(row["image"])])


def test_rounds_tell_the_mean_and_the_accuracy_of_the_model_under_attack(finished: Path) -> None:
    results = attack_run(RunDirectory(finished), progress=QuietProgress(), isolated=False)
    assert results is not None
    first, second, third = results.federation
    assert second.analyses == {}
    for number, found in ((1, first), (3, third)):
        values = [r.metrics["igsa"] for r in results.rows if r.round == number and r.kind == "inverting_gradients"]
        assert len(values) == 2
        assert found.analyses["igsa"].mean == pytest.approx(sum(float(v or 0) for v in values) / 2)
    assert second.broadcast_accuracy == first.accuracy
    assert third.broadcast_accuracy == second.accuracy
    assert first.broadcast_accuracy is not None
    assert "igsa" not in results.attacks[0].metrics


def test_the_report_draws_it_by_round(finished: Path) -> None:
    assert "IGSA of the leaked model by round" in (finished / "report.html").read_text("utf-8")


def test_none_leaves_no_trace_in_the_fingerprint() -> None:
    without = scenario_fingerprint(scenario())
    assert scenario_fingerprint(scenario(analyses=[])) == without
    assert scenario_fingerprint(scenario(analyses=["igsa"])) != without
