from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.results.schema import load_results
from fedleak.trackers.entries import entries, run_entry


def test_a_run_is_logged_with_what_its_results_say(finished: Path) -> None:
    root = sorted((finished / "cells").iterdir())[0]
    results, entry = load_results(root), run_entry(root)
    lti = results.attacks[0]
    assert entry.scores["lti/mse"] == lti.metrics["mse"]
    assert entry.scores["baseline_mean_image/mse"] == results.attacks[1].metrics["mse"]
    assert entry.curves["lti/held_out"] == lti.curves["held_out"]
    assert entry.costs["lti/parameters"] == lti.parameters
    assert entry.settings["model.hidden"] == "[6]"
    assert entry.settings["attacks.lti.hidden"] in (4, 8)
    assert entry.pictures
    assert all(file.is_file() for files in entry.pictures.values() for file in files)
    assert entry.report == root / "report.html"


def test_a_study_is_logged_with_its_verdicts(finished: Path) -> None:
    *cells, study = entries(finished)
    assert len(cells) == 4
    assert study.facts["claim 1"].split(":")[0] in {"reproduced", "not_reproduced", "inconclusive", "nothing_leaked"}
    assert "lti/mse/pairs 30 hidden 4" in study.scores


def test_pictures_outside_the_run_are_left_out(finished: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(sorted((finished / "cells").iterdir())[0], tmp_path / "cell"))
    raw = json.loads((root / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "secret.png").write_bytes(b"x")
    for attack in raw["attacks"]:
        for picture in attack["pictures"]:
            picture["original"] = "../../secret.png"
    (root / "results.json").write_text(json.dumps(raw), encoding="utf-8")
    assert run_entry(root).pictures == {}


def test_nothing_finished_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no results\.json"):
        list(entries(tmp_path))
