from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fedleak.errors import InputError
from fedleak.results.schema import ResultRow, Results, load_results, metric_names, save_results, to_csv

STABLE = "attack,kind,victim,round,image,mse,psnr,ssim,lpips,label_true,label_guess,seconds"
GOOD = ResultRow(
    attack="git",
    kind="git_coarse",
    victim=2,
    round=4,
    image=0,
    metrics={"mse": 0.0, "psnr": 30.5, "ssim": None, "lpips": None},
    label_true=0,
    seconds=0.25,
)
FAILED = ResultRow.failed('it "broke",\nbadly', attack="git", kind="git_coarse", victim=3, round=4, seconds=0.1)


def cells(*rows: ResultRow) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(rows))))


def results(*rows: ResultRow) -> Results:
    empty: dict[str, Any] = {"scenario": {}, "environment": {}, "capabilities": (), "federation": (), "attacks": ()}
    about: dict[str, Any] = {"fingerprint": "f", "name": "n", "description": "", "protocol": "fedsgd", "notes": ()}
    return Results(compromised=None, pairs=None, higher_is_better=("psnr", "ssim"), rows=rows, **about, **empty)


def test_columns_are_exactly_the_documented_ones() -> None:
    assert to_csv((GOOD,)).splitlines()[0] == f"{STABLE},encoded_bytes,matching_loss,matching_loss_start,status,reason"
    assert to_csv(()) == f"{STABLE},encoded_bytes,matching_loss,matching_loss_start,status,reason\n"


def test_further_metrics_append_columns_in_order_of_appearance() -> None:
    rows = (
        GOOD.model_copy(update={"metrics": {"iip": 1.0, "mse": 0.5}}),
        GOOD.model_copy(update={"metrics": {"fft": 2.0}}),
    )
    assert (
        to_csv(rows).splitlines()[0]
        == f"{STABLE},iip,fft,encoded_bytes,matching_loss,matching_loss_start,status,reason"
    )
    assert [(c["mse"], c["iip"], c["fft"]) for c in cells(*rows)] == [("0.5", "1.0", ""), ("", "", "2.0")]
    assert metric_names(rows) == ["mse", "psnr", "ssim", "lpips", "iip", "fft"]


def test_absent_values_are_empty_and_zeros_are_zeros() -> None:
    row = cells(GOOD)[0]
    assert {name for name, cell in row.items() if cell == ""} == {
        "ssim",
        "lpips",
        "label_guess",
        "encoded_bytes",
        "matching_loss",
        "matching_loss_start",
        "reason",
    }
    assert (row["mse"], row["image"], row["label_true"]) == ("0.0", "0", "0")


def test_the_matching_loss_of_an_update_stands_on_each_of_its_images() -> None:
    row = cells(GOOD.model_copy(update={"matching_loss": 0.25, "matching_loss_start": 1.5}))[0]
    assert (row["matching_loss"], row["matching_loss_start"]) == ("0.25", "1.5")


def test_a_failed_row_has_a_reason_and_never_a_score() -> None:
    row = cells(GOOD, FAILED)[1]
    assert (row["status"], row["reason"]) == ("failed", 'it "broke",\nbadly')
    assert [row[name] for name in ("image", "mse", "psnr", "ssim", "lpips", "label_guess")] == [""] * 6


def test_the_row_of_a_failure_keeps_where_it_struck_and_what_it_took() -> None:
    row = ResultRow.failed("why", attack="a", kind="k", victim=2, round=5, summed=(1, 2), encoded_bytes=9)
    assert (row.status, row.reason, row.image, row.metrics) == ("failed", "why", None, {})
    assert (row.victim, row.update, row.seconds, row.encoded_bytes) == (2, (1, 5), None, 9)


def test_a_failure_with_a_score_is_refused() -> None:
    with pytest.raises(ValidationError, match="no metrics"):
        ResultRow(attack="a", kind="k", victim=1, round=1, status="failed", metrics={"mse": 0.1})


def test_the_update_behind_a_row_is_that_of_its_victim_or_of_the_first_in_the_sum() -> None:
    assert GOOD.update == (2, 4)
    assert GOOD.model_copy(update={"summed": (1, 2)}).update == (1, 4)


def test_numbers_survive_the_csv_unrounded() -> None:
    value = 0.1 + 0.2
    assert float(cells(GOOD.model_copy(update={"metrics": {"mse": value}}))[0]["mse"]) == value


def test_results_survive_a_round_trip(tmp_path: Path) -> None:
    save_results(tmp_path, results(GOOD, FAILED))
    assert load_results(tmp_path) == results(GOOD, FAILED)
    assert (tmp_path / "results.csv").read_text() == to_csv((GOOD, FAILED))
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv", "results.json"}


def test_absent_results_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the attack stage first"):
        load_results(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', "\x00\xff"])
def test_damaged_or_foreign_results_are_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match="not readable results"):
        load_results(tmp_path)
