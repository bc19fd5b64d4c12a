"""A study's results on disk."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError
from fedleak.results.schema import Interval
from fedleak.studies.results import (
    STUDY_CSV,
    STUDY_JSON,
    StudyLine,
    StudyResults,
    load_study_results,
    save_rows,
    save_study,
)
from tests.studies.builders import record

EMPTY: dict[str, Any] = {
    "name": "small",
    "description": "",
    "budget": None,
    "axes": ("pairs",),
    "seeds": (0,),
    "federations": 1,
    "higher_is_better": (),
    "metrics": ("mse",),
    "figure": None,
    "source": "",
    "setting": "",
    "published": (),
    "verdicts": (),
    "lines": (),
    "cells": (),
    "notes": (),
    "study": "",
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    line = StudyLine(
        point={"pairs": 30},
        attack="lti",
        is_baseline=False,
        images=4,
        seeds=1,
        failures=0,
        metrics={"mse": Interval(mean=0.1, low=0.05, high=float("inf"))},
    )
    results = StudyResults.model_validate(EMPTY | {"lines": (line,)})
    save_study(tmp_path, results)
    assert load_study_results(tmp_path) == results


def test_without_results_the_study_has_not_been_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it holds no study.json; run the study first"):
        load_study_results(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "fedleak-study", "version": 2}'])
def test_other_files_are_no_results(tmp_path: Path, content: str) -> None:
    (tmp_path / STUDY_JSON).write_text(content)
    with pytest.raises(InputError, match="not a readable study"):
        load_study_results(tmp_path)


def test_one_line_for_every_image_and_empty_cells_for_what_is_not_there(tmp_path: Path) -> None:
    first = record({"lti": {"mse": [0.1, 0.2]}, "baseline_mean_image": {"mse": [0.3, 0.4]}})
    second = record({"lti": {"mse": [0.5], "ssim": [0.9]}}).model_copy(update={"key": "second"})
    save_rows(tmp_path, ("pairs",), [({"pairs": 30}, 0, first), ({"pairs": 60}, 7, second)])
    rows = list(csv.DictReader((tmp_path / STUDY_CSV).read_text().splitlines()))
    places = ["cell", "pairs", "seed", "attack", "kind", "victim", "round", "image"]
    assert list(rows[0]) == [*places, "mse", "ssim", "epsilon", "delta"]
    assert [(r["cell"], r["pairs"], r["seed"], r["attack"], r["victim"], r["mse"], r["ssim"]) for r in rows] == [
        ("k", "30", "0", "lti", "0", "0.1", ""),
        ("k", "30", "0", "lti", "1", "0.2", ""),
        ("k", "30", "0", "baseline_mean_image", "0", "0.3", ""),
        ("k", "30", "0", "baseline_mean_image", "1", "0.4", ""),
        ("second", "60", "7", "lti", "0", "0.5", "0.9"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == [STUDY_CSV]
