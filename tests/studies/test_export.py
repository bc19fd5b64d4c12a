from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pyarrow import parquet

from fedleak.errors import InputError
from fedleak.results.schema import Interval, load_results, to_csv
from fedleak.studies.export import _escaped, _number, export, run_table_tex


def cell_of(study: Path) -> Path:
    return min((study / "cells").iterdir())


def test_figures_are_vector_files_of_every_chart(finished: Path, tmp_path: Path) -> None:
    names = {path.name for path in export(cell_of(finished), "figures", tmp_path)}
    assert {"round-psnr.svg", "round-psnr.pdf", "round-accuracy.pdf", "distribution.svg"} <= names
    assert all((tmp_path / name).stat().st_size > 1000 for name in names)
    assert {path.name for path in export(finished, "figures", tmp_path)} == {"study-mse.svg", "study-mse.pdf"}


def test_a_run_as_a_latex_table(finished: Path, tmp_path: Path) -> None:
    (path,) = export(cell_of(finished), "latex", tmp_path)
    lines = path.read_text("utf-8").splitlines()
    assert lines[:3] == ["% \\usepackage{booktabs}", "\\begin{tabular}{lrrrr}", "\\toprule"]
    assert lines[3] == ("Attack & Images & MSE $\\downarrow$ & PSNR (dB) $\\uparrow$ & SSIM $\\uparrow$ \\\\")
    assert lines[5].startswith("lti & ")
    assert lines.count("\\midrule") == 2
    assert lines[-1] == "\\end{tabular}"


def test_a_study_as_a_latex_table_has_its_axes(finished: Path, tmp_path: Path) -> None:
    (path,) = export(finished, "latex", tmp_path)
    lines = path.read_text("utf-8").splitlines()
    assert lines[3].startswith("pairs & hidden & Attack & Images & MSE")
    assert sum(line.startswith(("30 & ", "60 & ")) and "lti" in line for line in lines) == 4


def test_means_have_half_the_width_of_their_interval(finished: Path) -> None:
    results = load_results(cell_of(finished))
    attack = results.attacks[0].model_copy(update={"metrics": {"psnr": Interval(mean=20.0, low=18.5, high=21.5)}})
    assert "$20.00 \\pm 1.50$ \\\\" in run_table_tex(results.model_copy(update={"attacks": (attack,)}))


def test_rows_are_those_of_the_results(finished: Path, tmp_path: Path) -> None:
    cell = cell_of(finished)
    (path,) = export(cell, "csv", tmp_path)
    assert path.read_text("utf-8") == to_csv(load_results(cell).rows)


@pytest.mark.parametrize("what", ["run", "study"])
def test_parquet_holds_the_same_rows_with_types(finished: Path, tmp_path: Path, what: str) -> None:
    directory = finished if what == "study" else cell_of(finished)
    (text,), (binary,) = export(directory, "csv", tmp_path), export(directory, "parquet", tmp_path)
    rows, table = list(csv.DictReader(text.open(encoding="utf-8"))), parquet.read_table(binary)
    assert table.column_names == list(rows[0])
    assert table.num_rows == len(rows)
    assert table.column("mse").to_pylist() == [float(row["mse"]) if row["mse"] else None for row in rows]
    assert table.column("victim").to_pylist() == [int(row["victim"]) for row in rows]
    assert table.column("attack").to_pylist() == [row["attack"] for row in rows]


def test_files_lie_in_the_directory_unless_a_folder_is_named(copied: Path) -> None:
    assert export(copied, "csv") == [copied / "export" / "rows.csv"]


def test_an_unknown_format_is_refused(finished: Path) -> None:
    with pytest.raises(InputError, match="expected one of figures, latex, parquet, csv"):
        export(finished, "docx")


def test_text_and_numbers_are_safe_for_latex() -> None:
    assert _escaped("top_10% & more\\") == "top\\_10\\% \\& more\\textbackslash{}"
    assert _number("1.2 \N{MULTIPLICATION SIGN} 10⁻⁷") == "1.2 \\cdot 10^{-7}"
    assert _number("\N{MINUS SIGN}0.5") == "-0.5"
