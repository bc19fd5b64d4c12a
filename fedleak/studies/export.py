"""Results of a run or study as files for papers and notebooks: figures, LaTeX tables, Parquet, CSV. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fedleak.errors import InputError
from fedleak.records import write_atomically
from fedleak.report.build import render
from fedleak.report.marks import display_name
from fedleak.report.page import make_page
from fedleak.report.vector import Drawings, collected
from fedleak.results.format import metric_title, metric_unit, metric_value
from fedleak.results.schema import CORE_METRICS, Interval, Results, load_results, to_csv
from fedleak.studies.matrix import label_text, short_names
from fedleak.studies.report.build import render_study
from fedleak.studies.results import STUDY_CSV, STUDY_JSON, StudyResults, load_study_results

FOLDER = "export"
TEXTS = ("cell", "attack", "kind", "status", "reason")
"""Columns of the rows that hold text whatever they look like."""
_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
}


def export(directory: Path, to: str, out: Path | None = None) -> list[Path]:
    """Write the files of one format and return their paths.

    Args:
        directory: of a finished run or study.
        to: a key of ``FORMATS``.
        out: folder to write to (default: ``export`` in the directory).

    Raises:
        InputError: if the format does not exist, or the directory holds no readable results.
    """
    if to not in FORMATS:
        raise InputError("--to", to, f"expected one of {', '.join(FORMATS)}")
    folder = out or directory / FOLDER
    files = FORMATS[to](directory)
    folder.mkdir(parents=True, exist_ok=True)
    return [_written(folder / name, content) for name, content in files.items()]


def is_study(directory: Path) -> bool:
    """Whether it holds the results of a study."""
    return (directory / STUDY_JSON).is_file()


def _written(path: Path, content: bytes | str) -> Path:
    if isinstance(content, str):
        write_atomically(path, content)
        return path
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path


def figures(directory: Path) -> dict[str, bytes]:
    """Every chart of the report as SVG and PDF."""
    drawings = _drawn(directory)
    return {f"{_safe(name)}.{ending}": data for name, both in drawings.files.items() for ending, data in both.items()}


def _drawn(directory: Path) -> Drawings:
    with collected() as drawings:
        if is_study(directory):
            render_study(load_study_results(directory), directory)
        else:
            render(make_page(load_results(directory), directory))
    return drawings


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def latex(directory: Path) -> dict[str, str]:
    """The results table for ``booktabs``: means with half the width of their 95 % intervals."""
    if is_study(directory):
        return {"table.tex": study_table_tex(load_study_results(directory))}
    return {"table.tex": run_table_tex(load_results(directory))}


def run_table_tex(results: Results) -> str:
    """Attacks, then baselines."""
    names = [name for name in CORE_METRICS if any(name in summary.metrics for summary in results.attacks)]
    lines = [
        ([display_name(summary), f"{summary.images}"], summary.metrics, summary.is_baseline)
        for summary in results.attacks
    ]
    return _tabular(["Attack", "Images"], names, results.higher_is_better, lines)


def study_table_tex(results: StudyResults) -> str:
    """Attacks at every point, then baselines."""
    short = short_names(results.axes)
    lines = [
        ([*(label_text(line.point[axis]) for axis in results.axes), line.attack, f"{line.images}"], line.metrics, base)
        for base in (False, True)
        for line in results.lines
        if line.is_baseline is base
    ]
    heads = [*(short[axis] for axis in results.axes), "Attack", "Images"]
    return _tabular(heads, list(results.metrics), results.higher_is_better, lines)


def _tabular(
    heads: Sequence[str],
    metrics: Sequence[str],
    higher: Sequence[str],
    lines: Sequence[tuple[list[str], Mapping[str, Interval], bool]],
) -> str:
    titles = [*map(_escaped, heads), *(_title(name, higher=name in higher) for name in metrics)]
    columns = "l" * (len(heads) - 1) + "r" * (1 + len(metrics))
    text = ["% \\usepackage{booktabs}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule", _row(titles), "\\midrule"]
    before = False
    for labels, values, is_baseline in lines:
        if is_baseline and not before:
            text.append("\\midrule")
        before = is_baseline
        text.append(_row([*map(_escaped, labels), *(_cell(name, values.get(name)) for name in metrics)]))
    return "\n".join([*text, "\\bottomrule", "\\end{tabular}", ""])


def _title(name: str, *, higher: bool) -> str:
    unit = f" ({metric_unit(name).strip()})" if metric_unit(name) else ""
    return f"{_escaped(metric_title(name))}{unit} $\\{'uparrow' if higher else 'downarrow'}$"


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(name: str, interval: Interval | None) -> str:
    """``$0.0124 \\pm 0.0011$``."""
    if interval is None:
        return "--"
    mean = _number(metric_value(name, interval.mean))
    if interval.low is None or interval.high is None:
        return f"${mean}$"
    return f"${mean} \\pm {_number(metric_value(name, (interval.high - interval.low) / 2))}$"


def _number(text: str) -> str:
    """A number as the reports show it, for LaTeX's mathematics."""
    plain = text.replace("\N{MINUS SIGN}", "-").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa, times, power = plain.partition(" \N{MULTIPLICATION SIGN} 10")
    return f"{mantissa} \\cdot 10^{{{power}}}" if times else mantissa


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def rows_csv(directory: Path) -> dict[str, str]:
    """One line for each image of every attack."""
    if not is_study(directory):
        return {"rows.csv": to_csv(load_results(directory).rows)}
    load_study_results(directory)
    return {"rows.csv": (directory / STUDY_CSV).read_text(encoding="utf-8")}


def rows_parquet(directory: Path) -> dict[str, bytes]:
    """The same as typed columns; absent values are null."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    text = rows_csv(directory)["rows.csv"]
    heads = text.split("\n", 1)[0].split(",")
    types = {name: pa.string() for name in heads if name in TEXTS}
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    parsing = csv.ParseOptions(newlines_in_values=True)
    table = csv.read_csv(pa.py_buffer(text.encode()), convert_options=options, parse_options=parsing)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return {"rows.parquet": sink.getvalue().to_pybytes()}


FORMATS: Mapping[str, Callable[[Path], Mapping[str, bytes | str]]] = {
    "figures": figures,
    "latex": latex,
    "parquet": rows_parquet,
    "csv": rows_csv,
}
"""Name of a format -> function that makes its files, by name, from a directory."""
