"""What a finished cell leaves: the rows of a run in columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedleak.results.labels import class_accuracies
from fedleak.results.schema import ResultRow
from fedleak.studies.records import (
    ACCURACY,
    CELL,
    FINAL_ACCURACY,
    LABEL_ACCURACY,
    LABEL_ACCURACY_CLASS,
    Measured,
    load_cell,
    measure,
    save_cell,
)
from tests.report.conftest import build_results
from tests.studies.builders import record


def measured(**changes: Any) -> Measured:
    """Two images of two rounds."""
    plain: dict[str, Any] = {
        "attack": "lti",
        "kind": "lti",
        "is_baseline": False,
        "images": ((1, 1, 0), (1, 2, 0), (2, 1, 0), (1, 1, 1)),
        "metrics": {"mse": [0.1, 0.2, 0.3, None]},
    }
    return Measured.model_validate(plain | changes)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    done = record({"lti": {"mse": [0.5, float("inf")]}, "baseline_mean_image": {"mse": [1.0, 2.0]}})
    save_cell(tmp_path, done)
    assert load_cell(tmp_path) == done


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_without_a_readable_record_a_cell_is_not_finished(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / CELL).write_bytes(content)
    assert load_cell(tmp_path) is None


@pytest.mark.parametrize("column", [[], [0.1], [0.1] * 3])
def test_a_record_without_one_value_per_image_is_not_readable(tmp_path: Path, column: list[float]) -> None:
    save_cell(tmp_path, record({"lti": {"mse": [0.5, 0.25]}}))
    assert load_cell(tmp_path) is not None
    raw = json.loads((tmp_path / CELL).read_text())
    raw["attacks"][0]["metrics"]["mse"] = column
    (tmp_path / CELL).write_text(json.dumps(raw))
    assert load_cell(tmp_path) is None


def test_the_images_of_each_round_are_known_by_victim_and_place() -> None:
    found = measured().by_round()
    assert list(found) == [1, 2]
    assert found[1].images == ((1, 0, 0), (2, 0, 0), (1, 0, 1))
    assert found[1].metrics == {"mse": [0.1, 0.3, None]}
    assert (found[2].images, found[2].metrics) == (((1, 0, 0),), {"mse": [0.2]})
    assert measured(images=(), metrics={}).by_round() == {}


def row(attack: str, victim: int, image: int, **changes: Any) -> ResultRow:
    """Of round 1."""
    plain = {"attack": attack, "kind": attack, "victim": victim, "round": 1, "image": image, "status": "ok"}
    return ResultRow.model_validate(plain | {"metrics": {"mse": 0.1 * victim}} | changes)


def test_the_rows_of_a_run_become_columns(tmp_path: Path) -> None:
    """Two images of victim 1, one of whose labels was guessed; one image with a further metric; a failure."""
    base = build_results(tmp_path, levels={"lti": 0.01}, rounds=1)
    rows = (
        row("lti", 1, 0, label_true=3, label_guess=3),
        row("lti", 1, 1, label_true=4, label_guess=5),
        row("lti", 2, 0, metrics={"mse": 0.2, "ssim": 0.5}),
        row("lti", 3, 0, status="failed", reason="no", metrics={}),
    )
    lti, *baselines = measure(base.model_copy(update={"rows": rows}))
    assert lti.images == ((1, 1, 0), (1, 1, 1), (2, 1, 0))
    assert lti.metrics["mse"] == pytest.approx([0.1, 0.1, 0.2])
    assert lti.metrics["ssim"] == [None, None, 0.5]
    assert lti.metrics[LABEL_ACCURACY] == [1.0, 0.0, None]
    share = class_accuracies(rows[:2])[rows[0].update]
    assert lti.metrics[LABEL_ACCURACY_CLASS] == [share, share, None], "of the update, on each of its images"
    assert lti.metrics[ACCURACY] == [None] * 3, "older transcripts do not tell the accuracy of the broadcast model"
    assert lti.metrics[FINAL_ACCURACY] == [base.federation[-1].accuracy] * 3
    assert {picture.rank for picture in lti.pictures} <= {"median"}
    assert [one.images for one in baselines] == [()] * len(baselines)
    assert all(one.is_baseline for one in baselines)
