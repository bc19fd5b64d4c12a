"""The report as a document: safe, self-contained, the same every time, and whole whatever the run went through."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import fedleak.report
from fedleak.errors import InputError
from fedleak.report.build import render_template, write_report
from fedleak.results.schema import PICTURES, ResultRow, Results

Make = Callable[..., Results]
Report = Callable[[Results], str]
SCRIPT = "<script>alert(1)</script>"
VOID = {"meta", "img", "br", "wbr"}


class Outline(HTMLParser):
    """Tags, attributes and open elements of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


def edit_attacks(results: Results, **changes: object) -> Results:
    attacks = tuple(s if s.is_baseline else s.model_copy(update=changes) for s in results.attacks)
    return results.model_copy(update={"attacks": attacks})


def test_every_element_is_closed(ordinary_report: str) -> None:
    outline = Outline(ordinary_report)
    assert outline.unbalanced == []
    assert outline.open == []


def test_identifiers_are_unique_and_links_within_the_page_resolve(ordinary_report: str) -> None:
    tags = Outline(ordinary_report).tags
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    targets = [a.get("href") or a.get("xlink:href") for _, a in tags if "href" in a or "xlink:href" in a]
    assert len(identifiers) == len(set(identifiers))
    assert {str(target) for target in targets} <= {f"#{name}" for name in identifiers}


def test_nothing_is_loaded_from_elsewhere(ordinary_report: str) -> None:
    tags = Outline(ordinary_report).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert all(str(a["src"]).startswith("data:image/png;base64,") for _, a in tags if "src" in a)
    assert not re.search(r"https?://", ordinary_report)
    assert not re.search(r"@import|url\((?!#)", ordinary_report)
    assert "default-src 'none'" in ordinary_report


def test_untrusted_text_is_escaped(make_results: Make, report_of: Report) -> None:
    results = edit_attacks(make_results(), attack=SCRIPT, description=SCRIPT)
    row = ResultRow.failed(SCRIPT, attack=SCRIPT, kind="x", victim=1, round=1)
    scored = tuple(r.model_copy(update={"attack": SCRIPT}) for r in results.rows if r.attack == "lti")
    capability = results.capabilities[0].model_copy(update={"name": SCRIPT, "summary": SCRIPT, "used_by": (SCRIPT,)})
    federation = (results.federation[0].model_copy(update={"failures": (SCRIPT,)}), *results.federation[1:])
    changes = {
        "name": SCRIPT,
        "description": SCRIPT,
        "notes": (SCRIPT,),
        "fingerprint": SCRIPT,
        "protocol": SCRIPT,
    }
    changes |= {"scenario": {SCRIPT: SCRIPT, "dataset": SCRIPT}, "environment": {SCRIPT: {SCRIPT: SCRIPT}}}
    changes |= {
        "rows": (*results.rows, *scored, row),
        "capabilities": (capability,),
        "federation": federation,
    }
    text = report_of(results.model_copy(update=changes))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 15


def test_same_results_give_the_same_bytes(make_results: Make, report_of: Report) -> None:
    results = make_results()
    assert report_of(results) == report_of(results)


def test_nothing_else_is_left_in_the_directory(make_results: Make, report_of: Report, tmp_path: Path) -> None:
    report_of(make_results())
    assert {p.name for p in tmp_path.iterdir()} == {PICTURES, "results.json", "results.csv", "report.html"}


def test_charts_take_their_colours_and_font_from_the_page(ordinary_report: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", ordinary_report, flags=re.DOTALL)
    assert len(drawings) == 7  # three by round, three learning curves, one distribution
    assert not any(re.search(r"#[0-9a-fA-F]{6}\b", drawing) for drawing in drawings)
    assert not any("DejaVu" in drawing for drawing in drawings)


def test_a_mathematical_name_is_drawn_as_it_is(make_results: Make, report_of: Report) -> None:
    results = make_results(levels={"a$b$ & <c>": 0.01})
    drawing = re.findall(r"<svg.*?</svg>", report_of(results), flags=re.DOTALL)[-1]
    assert "a$b$ &amp; &lt;c&gt;" in drawing


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/hostname", "a/../../secret.png", "nul\0.png", "link/secret.png"]
)
def test_a_picture_outside_its_folder_is_refused(
    name: str, make_results: Make, report_of: Report, tmp_path: Path
) -> None:
    results = make_results(rounds=1)
    (tmp_path / "secret.png").write_bytes((tmp_path / PICTURES / results.attacks[0].pictures[0].original).read_bytes())
    (tmp_path / PICTURES / "link").symlink_to(tmp_path)
    picture = results.attacks[0].pictures[0].model_copy(update={"reconstruction": name})
    with pytest.raises(InputError, match="picture"):
        report_of(edit_attacks(results, pictures=(picture,)))
    assert not (tmp_path / "report.html").exists()


def test_a_missing_or_broken_picture_is_said_so(make_results: Make, report_of: Report, tmp_path: Path) -> None:
    results = make_results(rounds=1)
    picture = results.attacks[0].pictures[0].model_copy(update={"reconstruction": "not-there.png", "rank": "median"})
    (tmp_path / PICTURES / picture.original).write_bytes(b"<svg onload=alert(1)>")
    text = report_of(edit_attacks(results, pictures=(picture,)))
    assert text.count("picture missing") == 3
    assert text.count("not a PNG picture") == 3


def no_attack_succeeded(results: Results) -> Results:
    failed = edit_attacks(results, images=0, failures=40, metrics={}, rounds=(), pictures=(), curves={})
    rows = tuple(row for row in results.rows if row.attack.startswith("baseline"))
    return failed.model_copy(update={"rows": rows})


def nothing_at_all(results: Results) -> Results:
    empty = {"attacks": (), "rows": (), "federation": (), "capabilities": (), "notes": (), "scenario": {}}
    return results.model_copy(update=empty | {"environment": {}, "pairs": None, "compromised": None})


def perfect_copies(results: Results) -> Results:
    rows = tuple(row.model_copy(update={"metrics": {"mse": 0.0, "psnr": 100.0}}) for row in results.rows)
    zero = results.attacks[0].metrics["mse"].model_copy(update={"mean": 0.0, "low": 0.0, "high": 0.0})
    return edit_attacks(results, metrics={"mse": zero}, curves={"train": [0.0]}).model_copy(update={"rows": rows})


@pytest.mark.parametrize(
    "edit",
    [
        no_attack_succeeded,
        nothing_at_all,
        perfect_copies,
        lambda results: edit_attacks(results, curves={}, training_seconds=None, parameters=None),
        lambda results: edit_attacks(results, rounds=results.attacks[0].rounds[:1]),
        lambda results: results.model_copy(update={"attacks": results.attacks[:3]}),
    ],
)
def test_it_copes_with(edit: Callable[[Results], Results], make_results: Make, report_of: Report) -> None:
    outline = Outline(report_of(edit(make_results(rounds=2))))
    assert outline.unbalanced == []
    assert {a["id"] for tag, a in outline.tags if tag == "section"} >= {"results", "pictures", "reproduce"}


def test_it_copes_with_many_attacks_and_rounds(make_results: Make, report_of: Report) -> None:
    names = [f"attack_with_a_very_long_name_of_{'x' * 60}_{i}" for i in range(11)]
    text = report_of(make_results(levels={name: 0.01 + i / 100 for i, name in enumerate(names)}, rounds=101))
    assert "intervals are left out because there are many attacks" in text
    assert Outline(text).unbalanced == []


def test_without_results_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results\.json"):
        write_report(tmp_path)


OWN = ("fedleak.errors", "fedleak.records", "fedleak.report", "fedleak.results", "fedleak.version")
LIBRARIES = {"PIL", "jinja2", "markupsafe", "matplotlib", "numpy", "yaml"}


def imported(file: Path) -> list[str]:
    """Names of the modules that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("file", sorted(Path(fedleak.report.__path__[0]).glob("*.py")), ids=lambda file: file.stem)
def test_the_package_imports_only_what_draws_and_reads(file: Path) -> None:
    for name in imported(file):
        known = name.split(".")[0] in LIBRARIES | sys.stdlib_module_names
        assert known or f"{name}.".startswith(tuple(f"{own}." for own in OWN)), name


@pytest.fixture(scope="module")
def loaded_modules(run_once: Path) -> set[str]:
    """What a fresh interpreter has loaded after writing a report."""
    code = "import sys; from pathlib import Path; from fedleak.report.build import render_template, write_report;"
    code += f"write_report(Path({str(run_once)!r})); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("library", ["flwr", "ray", "matplotlib.pyplot", "torch"])
def test_a_report_is_written_without(library: str, loaded_modules: set[str]) -> None:
    assert "fedleak.report.build" in loaded_modules
    assert library not in loaded_modules


def test_the_kind_stands_beside_an_attack_s_own_name(make_results: Make, report_of: Report) -> None:
    results = edit_attacks(make_results(rounds=1), kind="gradinversion")
    assert report_of(results).count('<span class="kind">gradinversion</span>') == 3


def test_a_template_with_an_unknown_name_is_an_error_rather_than_a_gap() -> None:
    with pytest.raises(UndefinedError, match="verdict"):
        render_template("report.html", {"name": "n", "description": ""})


def test_the_report_lies_beside_the_results(run_once: Path) -> None:
    path = write_report(run_once)
    assert path == run_once / "report.html"
    assert "<title>digits-git · fedleak report</title>" in path.read_text("utf-8")
