"""Every documented defense on one frontier, and privacy beside it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.frontier import Frontier, find_frontier
from fedleak.studies.matrix import Point
from fedleak.studies.records import PrivacySpent, load_cell, save_cell
from fedleak.studies.report.frontier import recommendation, write_frontier
from fedleak.studies.results import load_study_results
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.scenarios import command
from tests.studies.builders import study
from tests.studies.test_frontier import Cells, adaptive, full, made, one

DOCUMENTED: dict[str, dict[str, Any]] = {
    "none": {},
    "compression": {"federation.client.postprocess": [{"kind": "qsgd", "bits": 4}]},
    "noise": {"federation.client.postprocess": [{"kind": "gaussian_noise", "std": 0.1}]},
    "omitted": {"federation.client.postprocess": [{"kind": "gradient_masking", "layers": ["0"]}]},
    "mixed data": {"federation.client.augment": [{"kind": "mixup"}]},
    "rejection": {"federation.client.guards": ["imprint"]},
    "dp_sgd": {"federation.client.dp_sgd": {"max_norm": 1, "noise_multiplier": 1}},
    "local dp": {"federation.client_level_dp": {"noise": "local", "max_norm": 1, "noise_multiplier": 1}},
    "central dp": {"federation.client_level_dp.max_norm": 1, "federation.client_level_dp.noise_multiplier": 1},
    "sums": {"federation.secure_aggregation": {"num_shares": 3, "reconstruction_threshold": 2}},
    "server": {"federation.server.aggregation": "fedasync", "federation.clients": 4},
}


@pytest.mark.parametrize("other", [{}, {"adversary.level": [3, 5]}])
def test_every_documented_defense_is_a_point_of_one_frontier(tmp_path: Path, other: dict[str, Any]) -> None:
    text = json.dumps({"matrix": {"defense": DOCUMENTED, **other}})
    cells = [one(name, 0.9, 10, [0.1, 0.2]) for name in DOCUMENTED]
    (case,) = find_frontier(*made(tmp_path, cells, study_text=text)).cases
    assert [setting.name for setting in case.settings] == [f"defense={name}" for name in DOCUMENTED]


@pytest.mark.parametrize("path", ["federation.client_level_dp.noise_multiplier", "federation.secure_aggregation"])
def test_an_axis_may_be_a_path_of_a_defense(tmp_path: Path, path: str) -> None:
    """The second axis, another model, makes a case for each of its values."""
    points: list[Point] = [{path: 0, "model": "mlp"}, {path: 1, "model": "mlp"}, {path: 1, "model": "lenet"}]
    cells: Cells = [(point, 0, 0.9, 10.0, {"ig": {"ssim": [0.1, 0.2]}}) for point in points]
    text = json.dumps({"matrix": {path: [0, 1], "model": ["mlp", "lenet"]}})
    cases = find_frontier(*made(tmp_path, cells, study_text=text)).cases
    assert [(case.name, len(case.settings)) for case in cases] == [("model=mlp", 2), ("model=lenet", 1)]


def test_a_setting_on_which_every_attack_failed_is_not_measured(tmp_path: Path) -> None:
    cells = [one("none", 0.9, 10, [0.5, 0.6]), ({"defense": "sums"}, 0, 0.9, 10.0, {"ig": {"ssim": [0.0]}})]
    results, directory = made(tmp_path, cells)
    folder = directory.cell("c1").root
    found = load_cell(folder)
    assert found is not None
    (ig,) = found.attacks
    save_cell(folder, found.model_copy(update={"attacks": (ig.model_copy(update={"images": (), "metrics": {}}),)}))
    (case,) = find_frontier(results, directory).cases
    assert (case.candidate, case.missing) == (1, 1)


def test_epsilon_of_the_least_private_seed_stands_beside_a_setting(tmp_path: Path) -> None:
    point, _, *values = full("dp", 0.8, 10, 0.15)
    cells = [full("none", 0.9, 10, 0.85), *((point, seed, *values) for seed in (0, 1))]
    results, directory = adaptive(tmp_path, cells)
    for key, epsilon in (("c1", 2.0), ("c2", 3.0)):
        found = load_cell(directory.cell(key).root)
        assert found is not None
        spent = PrivacySpent(epsilon=epsilon, delta=1e-5, unit="client", noise="server")
        save_cell(directory.cell(key).root, found.model_copy(update={"privacy": spent}))
    frontier = find_frontier(results, directory)
    plain, private = frontier.cases[0].settings
    assert plain.privacy is None
    assert private.privacy is not None
    assert (private.privacy.epsilon, private.privacy.delta) == (3.0, 1e-5)
    loose = find_frontier(results, directory, accuracy_loss=0.2)
    assert "ε 3.00 at δ 1e-05, client, published models only" in recommendation(loose.cases[0], loose)
    path = write_frontier(tmp_path, frontier)
    assert '"epsilon": 3.0' in (tmp_path / "frontier.json").read_text(encoding="utf-8")
    assert "<span>3.00</span><small>δ 1e-05, client, published models only</small>" in path.read_text("utf-8")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real study of the private defenses and of secure aggregation."""
    root = tmp_path_factory.mktemp("private") / "out"
    names = ("none", "dp_sgd", "local dp", "central dp", "sums")
    adversary = {"level": 3, "public_images": 60}
    attacks = [{"kind": "inverting_gradients", "iterations": 2}]
    chosen = {name: DOCUMENTED[name] for name in names}
    loaded = load_study(study(matrix={"defense": chosen}, claims=[], adversary=adversary, attacks=attacks, budgets={}))
    run_study(loaded, StudyDirectory(root), QuietWatcher(), serial=True)
    return root


def test_a_real_study_of_private_defenses(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One case of measured settings; epsilon in study.json, study.csv, the reports, and on the terminal."""
    outcome = command(capsys, "frontier", private)
    assert outcome.code == 0
    (case,) = Frontier.model_validate_json((private / "frontier.json").read_bytes()).cases
    assert case.missing == 0
    epsilons = [setting.privacy and setting.privacy.epsilon for setting in case.settings]
    assert [epsilon is not None for epsilon in epsilons] == [False, True, True, True, False]
    assert outcome.out.count("ε ") >= 3
    results = load_study_results(private)
    assert [cell.privacy and cell.privacy.epsilon for cell in results.cells] == epsilons
    attacked = [line for line in results.lines if not line.is_baseline]
    assert [line.privacy and line.privacy.epsilon for line in attacked] == epsilons
    rows = list(csv.DictReader((private / "study.csv").open(encoding="utf-8")))
    assert {row["defense"]: row["epsilon"] for row in rows} == {
        cell.point["defense"]: "" if cell.privacy is None else str(cell.privacy.epsilon) for cell in results.cells
    }
    assert {row["delta"] for row in rows} == {"", "1e-05"}
    assert '<th scope="col">ε</th>' in (private / "report.html").read_text(encoding="utf-8")
    assert '<th scope="col">ε</th>' in (private / "frontier.html").read_text(encoding="utf-8")
