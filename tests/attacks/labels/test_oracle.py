"""True labels reach an attack only where they are granted by name, and then results say so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedleak.attacks.labels.oracle import Oracle
from fedleak.errors import AttackFailedError, InputErrors
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.report.table import _LABEL_SOURCES
from fedleak.stages.attack.view import CapabilityNotGrantedError, View
from fedleak.stages.score.truth import TruthReader
from fedleak.threat import TrueLabels, granted_by_level
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

ATTACKS = [{"kind": "inverting_gradients", "iterations": 2}]


def settings(*grants: str, labels: str = "oracle") -> dict[str, object]:
    return {
        "adversary__level": 1,
        "adversary__grants": list(grants),
        "adversary__injection": None,
        "adversary__label_inference": labels,
        "federation__client__batch_size": 3,
        "federation__rounds": 1,
        "attacks": ATTACKS,
    }


def asks(truth: TrueLabels) -> None:
    """Stands for whatever asks for true labels."""


def test_it_needs_a_grant_by_name() -> None:
    assert "true_labels" not in granted_by_level(5)
    with pytest.raises(InputErrors, match=r"oracle.*needs true_labels"):
        scenario(**settings())
    scenario(**settings("true_labels"))


def test_labels_are_true_and_results_say_so(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario(**settings("true_labels")))
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    assert results.attacks[0].label_source == "true"
    assert results.attacks[0].label_accuracy == 1.0
    assert "TRUE" in _LABEL_SOURCES["true"]
    assert "TRUE (oracle)" in (run.root / "report.html").read_text()
    for record in TranscriptReader(run.transcript).manifest.updates:
        assert record.true_labels == tuple(TruthReader(run.truth).batch(record.row).labels.tolist())
    view = View(TranscriptReader(run.transcript), frozenset({"true_labels"}), record)
    given = view.capabilities(asks)["truth"]
    assert isinstance(given, TrueLabels)
    assert given.labels.tolist() == sorted(record.true_labels or ())
    with pytest.raises(CapabilityNotGrantedError, match="true_labels"):
        View(TranscriptReader(run.transcript), granted_by_level(5), record).capabilities(asks)


def test_nothing_is_recorded_that_was_not_granted(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario(**settings(labels="greedy_bias")))
    manifest = TranscriptReader(run.transcript).manifest
    assert [record.true_labels for record in manifest.updates] == [None, None]
    assert "statistics" not in "".join(manifest.checksums)
    view = View(TranscriptReader(run.transcript), frozenset({"true_labels"}), manifest.updates[0])
    with pytest.raises(AttackFailedError, match="not granted when recording"):
        view.capabilities(asks)


def test_another_batch_size_is_a_failure() -> None:
    truth = TrueLabels(torch.tensor([3, 1]))
    assert Oracle().infer(truth, count=2).tolist() == [1, 3]
    with pytest.raises(AttackFailedError, match="2 labels"):
        Oracle().infer(truth, count=3)
