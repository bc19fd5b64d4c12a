"""Label inferences by themselves, on a recorded federation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.families import kinds
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.stages.score.labels import LabelScore, score_labels
from tests.scenarios import command, run_federation, scenario

DLG = [{"kind": "dlg", "iterations": 1}]
BATCH = {"batch_size": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Only recorded: no attack has been made."""
    changed = scenario(attacks=DLG, adversary={"level": 1}, federation__client=BATCH, federation__clients=5)
    return run_federation(tmp_path_factory.mktemp("labels") / "run", changed)


def scores(run: RunDirectory, *only: str) -> dict[str, LabelScore]:
    return {score.inference: score for score in score_labels(run, QuietProgress(), only=only)}


def test_every_inference_but_the_oracle_is_tried_without_an_attack(run: RunDirectory) -> None:
    found = scores(run)
    oracles = {name for name, kind in kinds("label_inference").items() if kind.is_oracle}
    assert found.keys() == kinds("label_inference").keys() - oracles
    assert not (run.root / "attacks").exists() or not list((run.root / "attacks").iterdir())
    assert found["greedy_bias"].updates == 8
    assert (found["greedy_bias"].by_image or 0) > 0.9
    assert (found["greedy_bias"].by_class or 0) > 0.9


def test_what_is_not_granted_is_named_and_not_tried(run: RunDirectory) -> None:
    score = scores(run, "calibrated_counts_public")["calibrated_counts_public"]
    assert score.by_image is None
    assert "not granted" in score.reason
    assert "public_data" in score.reason


def test_what_fails_says_why(tmp_path: Path) -> None:
    blind = scenario(
        attacks=DLG,
        adversary={"level": 1},
        model={"kind": "lenet", "channels": 4, "last_bias": False},
        federation__client=BATCH,
    )
    score = scores(run_federation(tmp_path / "run", blind), "ilrg")["ilrg"]
    assert score.failures == score.updates
    assert score.by_image is None
    assert "bias" in score.reason


def test_an_unknown_kind_is_an_input_error(run: RunDirectory) -> None:
    with pytest.raises(InputError, match=r"known kinds: .*min_rule"):
        scores(run, "minrule")


def test_the_command_prints_a_table_or_json(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    table = command(capsys, "labels", run.root, "--kind", "greedy_bias", "--kind", "min_rule")
    assert table.code == 0
    assert "greedy_bias" in table.out
    assert "min_rule" in table.out
    assert "ilrg" not in table.out
    (only,) = json.loads(command(capsys, "labels", run.root, "--kind", "min_rule", "--json").out)
    assert only["inference"] == "min_rule"
    assert 0 <= only["by_class"] <= only["by_image"] <= 1
