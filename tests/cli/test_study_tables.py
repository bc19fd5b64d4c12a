from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from fedleak.cli.study_tables import frontier_table, lines_table, verdicts_text
from fedleak.results.format import DASH
from fedleak.results.schema import Interval
from fedleak.studies.claims.base import ClaimCheck, ClaimVerdict
from fedleak.studies.records import PrivacySpent
from fedleak.studies.tradeoff import Case, Frontier, Leak, SeedRange, Setting
from tests.studies.report.test_table import line, results


def rows(table: Table) -> list[list[str]]:
    """Cells of each line of a table, as a wide terminal shows them."""
    console = Console(file=io.StringIO(), width=250)
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [[cell.strip() for cell in row.strip("│").split("│")] for row in text.splitlines() if row.startswith("│")]


def test_published_numbers_stand_before_the_measured_ones() -> None:
    table = lines_table(results(line("lti", 30, 0.2, mse=0.5), line("baseline_mean_image", 30, 0.4)))
    assert [str(column.header) for column in table.columns] == [
        "pairs", "attack", "images", "MSE published", "MSE", "PSNR"
    ]  # fmt: skip
    attack, baseline = rows(table)
    assert attack[:4] == ["30", "lti", "8", "0.500"]
    assert attack[4].startswith("0.200")
    assert "0.100" in attack[4], "the lower end"
    assert "0.300" in attack[4], "the upper end"
    assert baseline[1] == "baseline_mean_image"
    assert baseline[3] == DASH


def setting(number: int, name: str, **changes: object) -> Setting:
    given = {
        "number": number,
        "name": name,
        "seeds": 1,
        "accuracy": SeedRange(mean=0.75, low=0.7, high=0.8),
        "bytes_per_round": 1234.4,
        "leaks": {"mse": Leak(attack="lti", interval=Interval(mean=0.25), adaptive=True)},
    }
    return Setting.model_validate(given | changes)


def test_the_frontier_says_what_is_recommended_and_what_dominates() -> None:
    plain, worse, unknown = (
        setting(1, "plain"),
        setting(2, "top_k", dominated_by=1),
        setting(3, "noise", accuracy=None, bytes_per_round=None, leaks={}),
    )
    case = Case(name="LeNet", settings=(plain, worse, unknown), recommended=1)
    frontier = Frontier.model_construct(study="s", metric="mse", metrics=("mse",), cases=(case,))
    table = frontier_table(case, frontier)
    assert table.title == "LeNet"
    first, second, third = rows(table)
    assert first[:3] == ["1", "plain", "75.0 %"]
    assert first[3:] == ["0.250", "lti (adaptive)", "1,234", "recommended"]
    assert second[-1] == "dominated by 1"
    assert third[-1] == ""
    assert third[2] == third[4] == third[5] == DASH


def test_epsilon_and_delta_stand_beside_private_settings_and_lines() -> None:
    spent = PrivacySpent(epsilon=3.21, delta=1e-5, unit="client", noise="server")
    case = Case(name="", settings=(setting(1, "plain"), setting(2, "dp", privacy=spent)))
    frontier = Frontier.model_construct(study="s", metric="mse", metrics=("mse",), cases=(case,))
    first, second = rows(frontier_table(case, frontier))
    assert first[3] == DASH
    assert second[3] == "ε 3.21 at δ 1e-05, client, published models only"
    private = line("lti", 30, 0.2).model_copy(update={"privacy": spent})
    first, second = rows(lines_table(results(private, line("baseline_mean_image", 30, 0.4))))
    assert (first[3], second[3]) == ("ε 3.21 at δ 1e-05, client, published models only", DASH)


def test_an_open_verdict_says_what_would_decide_it() -> None:
    checks = tuple(ClaimCheck(label=str(i), value=0.1, state="inconclusive", hint=f"hint {i}") for i in range(3))
    open_ = ClaimVerdict(kind="less", statement="a is less than b", state="inconclusive", checks=checks)
    closed = ClaimVerdict(kind="less", statement="c is less than d", state="not_reproduced", checks=checks)
    text = verdicts_text(results().model_copy(update={"verdicts": (open_, closed)}))
    assert text.plain == (
        "inconclusive: a is less than b\n"
        "    would decide it: hint 0\n"
        "    would decide it: hint 1\n"
        "not reproduced: c is less than d\n"
    )
