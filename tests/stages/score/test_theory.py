"""Theorems through a real run: rows and a summary that no attack is measured against."""

from __future__ import annotations

from pathlib import Path

import pytest

import fedleak
from fedleak.errors import InputError
from fedleak.run_directory import scenario_fingerprint
from tests.scenarios import scenario, tiny

ATTACK = {"kind": "inverting_gradients", "iterations": 2, "compile": "never"}
ADVERSARY = {"level": 1, "public_images": 60, "victims": {"clients": [1]}}


def test_predictions_are_rows_with_numbers_of_their_own_and_refusals_are_failures(tmp_path: Path) -> None:
    raw = tiny(
        attacks=[ATTACK],
        adversary=ADVERSARY,
        model={"kind": "mlp", "hidden": [2], "activation": "sigmoid"},
        federation__rounds=1,
        federation__client={"batch_size": 3},
        theory=["same_gradient", "local_drift"],
    )
    results = fedleak.run(raw, out=tmp_path / "run")
    by_name = {summary.attack: summary for summary in results.attacks}
    second, drift = by_name["theory_same_gradient"], by_name["theory_local_drift"]
    rows = [row for row in results.rows if row.attack == "theory_same_gradient"]
    assert [row.image for row in rows] == [0, 1, 2]
    assert {row.metrics["second_batch"] for row in rows} == {1.0}
    assert all((row.metrics["update_gap"] or 1) < 1e-6 and (row.metrics["mse"] or 0) > 0 for row in rows)
    assert (second.is_theory, second.images, second.failures) == (True, 3, 0)
    assert (drift.images, drift.failures) == (0, 1)
    assert any("one image" in row.reason for row in results.rows if row.attack == "theory_local_drift")
    header = (tmp_path / "run" / "results.csv").read_text().splitlines()[0]
    assert "second_batch" in header
    assert "theory_same_gradient" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_names_of_predictions_are_taken() -> None:
    with pytest.raises(InputError, match="theory_ are taken"):
        scenario(attacks=[ATTACK | {"id": "theory_mine"}], adversary=ADVERSARY)


def test_none_leaves_no_trace_in_the_fingerprint() -> None:
    assert scenario_fingerprint(scenario(theory=[])) == scenario_fingerprint(scenario())
    assert scenario_fingerprint(scenario(theory=["local_drift"])) != scenario_fingerprint(scenario())
