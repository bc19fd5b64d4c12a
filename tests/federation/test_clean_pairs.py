"""Pairs of an adversary who does not know what clients do to their updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

SMALL: dict[str, Any] = {
    "federation__rounds": 1,
    "adversary__injection__pairs": 12,
    "attacks": [
        {"kind": "lti", "hidden": 4, "training": {"epochs": 1}},
        {"kind": "dlg", "iterations": 1},
        {"kind": "dlg", "id": "hybrid", "iterations": 1, "init": {"from": "lti"}},
    ],
}
SIGNS: dict[str, Any] = {"federation__client__postprocess": ["sign_sgd"]}
CLEAN: dict[str, Any] = {"adversary__injection__postprocessed": False}


def test_pairs_are_gathered_without_post_processing_and_victims_are_not(tmp_path: Path) -> None:
    plain, signed, clean = (
        TranscriptReader(run_federation(tmp_path / str(i), scenario(**SMALL, **changes)).transcript)
        for i, changes in enumerate(({}, SIGNS, SIGNS | CLEAN))
    )
    rows = np.arange(12)
    np.testing.assert_array_equal(clean.pair_updates().read(rows), plain.pair_updates().read(rows))
    assert (clean.pair_updates().read(rows) != signed.pair_updates().read(rows)).any()
    assert all((clean.update(row) == signed.update(row)).all() for row in range(2))
    assert [r.manifest.pairs.postprocessed for r in (signed, clean) if r.manifest.pairs] == [True, False]


@pytest.mark.parametrize(("changes", "adaptive"), [({}, True), (CLEAN, False)])
def test_what_is_trained_on_them_or_starts_from_it_adapts_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], adaptive: bool
) -> None:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    run = run_federation(tmp_path / "run", scenario(**SMALL, **SIGNS, **changes))
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    said = {summary.attack: summary.adaptive for summary in results.attacks if not summary.is_baseline}
    assert said == {"lti": adaptive, "dlg": False, "hybrid": adaptive}
