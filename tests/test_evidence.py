"""A real run that is no evidence of safety says so in every place, in the same words."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path

import pytest

from fedleak.results.judgement import judge
from fedleak.results.schema import load_results
from fedleak.stages.attack.record import load_record
from tests.scenarios import command, write_scenario

SHORT = {
    "attacks": [{"kind": "inverting_gradients", "iterations": 20, "compile": "never"}],
    "adversary": {"level": 3, "public_images": 60},
    "federation__clients": 5,
    "federation__rounds": 4,
    "federation__client": {"postprocess": ["sign_sgd"]},
}


def test_twenty_iterations_are_green_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    outcome = command(capsys, "run", write_scenario(tmp_path, **SHORT), "--out", run)
    assert outcome.code == 0, outcome.err
    results = load_results(run)
    missing = judge(results)
    assert {"reduced_budget", "no_adaptive_attacker"} <= {each.kind for each in missing}
    assert "Unclear: no attack beats the baselines" in outcome.out
    assert f"missing: {'; '.join(each.title for each in missing)}" in outcome.out
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    assert 'class="verdict unclear"' in page
    findings = command(capsys, "doctor", run, "--json")
    told = {finding["what"] for finding in json.loads(findings.out)}
    for each in missing:
        assert each.what in page
        assert f"{each.title}: {each.what}" in told


def test_the_matching_loss_stands_in_every_result_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert (
        command(capsys, "run", write_scenario(tmp_path, **(SHORT | {"federation__rounds": 1})), "--out", run).code == 0
    )
    results, record = load_results(run), load_record(run / "attacks" / "inverting_gradients")
    assert record is not None
    curves = [attempt.curve["matching_loss"] for attempt in record.attempts]
    matching = results.attacks[0].matching
    assert matching is not None
    assert matching.iterations == 20
    assert matching.start == pytest.approx(sum(curve[0] for curve in curves) / len(curves))
    kept = [attempt.curve["kept_loss"] for attempt in record.attempts]
    assert matching.final == pytest.approx(sum(loss for (loss,) in kept) / len(kept))
    with (run / "results.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["attack"] == "inverting_gradients"]
    assert [float(row["matching_loss"]) for row in rows] == [loss for (loss,) in kept]
    assert [float(row["matching_loss_start"]) for row in rows] == [curve[0] for curve in curves]
    assert "Matching loss" in (run / "report.html").read_text(encoding="utf-8")
