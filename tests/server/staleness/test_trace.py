from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.errors import InputErrors
from fedleak.scenario.file import load_scenario
from fedleak.scenario.schema import Scenario
from fedleak.server.staleness.trace import Trace
from fedleak.studies.study import load_study
from tests.scenarios import scenario, write_scenario
from tests.server.staleness.draws import lags


def test_each_client_goes_round_its_own_list() -> None:
    found = lags(Trace(lags=((0, 2), (5,), (1, 0, 3))), rounds=4)
    assert found.tolist() == [[0, 2, 0, 2], [5, 5, 5, 5], [1, 0, 3, 1]]


def traced(folder: Path, name: str = "late.csv") -> Scenario:
    path = write_scenario(folder, federation__staleness={"kind": "trace", "lags": name})
    return load_scenario(path)


def test_a_file_beside_the_scenario_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "late.csv").write_text("0, 2\n1\n\n3,0,0\n")
    loaded = traced(tmp_path)
    assert loaded.federation.staleness == Trace(lags=((0, 2), (1,), (3, 0, 0)))
    again = load_scenario(loaded.model_dump(mode="json"))
    assert again.federation.staleness == loaded.federation.staleness


def test_a_study_finds_it_too(tmp_path: Path) -> None:
    (tmp_path / "late.csv").write_text("0\n1\n2\n")
    path = write_scenario(tmp_path, federation__staleness={"kind": "trace", "lags": "late.csv"}, seeds=[0, 1])
    assert {cell.scenario.federation.staleness for cell in load_study(path).cells} == {Trace(lags=((0,), (1,), (2,)))}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../late.csv", "0\n1\n2\n", "must be in the folder of the scenario"),
        ("absent.csv", "", "cannot be read"),
        ("late.csv", "0\nx\n2\n", "whole numbers with commas"),
        ("late.csv", "0\n-1\n2\n", "greater than or equal to 0"),
        ("late.csv", "0\n1\n", "expected one list for each of 3 clients"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "late.csv").write_text(content)
    with pytest.raises(InputErrors, match=message):
        traced(folder, name)


def test_without_a_scenario_file_there_is_no_folder() -> None:
    with pytest.raises(InputErrors, match="only in a scenario file"):
        scenario(federation__staleness={"kind": "trace", "lags": "late.csv"})
