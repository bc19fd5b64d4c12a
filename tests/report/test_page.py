from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedleak.report.page import Page, flatten, make_page
from fedleak.results.schema import Results

Make = Callable[..., Results]


def test_nested_environment_is_flattened() -> None:
    lines = flatten({"python": "3.11", "packages": {"torch": "2.11"}, "gpus": ["a", "b"], "cuda": None})
    assert lines == [("python", "3.11"), ("packages.torch", "2.11"), ("gpus", "a, b"), ("cuda", "—")]


def tiles(page: Page) -> dict[str, str]:
    return {tile.title: tile.value for tile in page.tiles}


def test_key_facts_by_hand(make_results: Make, tmp_path: Path) -> None:
    results = make_results(rounds=2).model_copy(update={"encoded_bytes": 1234.6})
    assert tiles(make_page(results, tmp_path)) == {
        "Dataset": "digits",
        "Model": "lenet",
        "Protocol": "FedSGD",
        "Batch size": "—",
        "Clients": "6",
        "Partition": "dirichlet",
        "Rounds": "2",
        "Defense": "none",
        "Victims' images scored": "8",
        "Pairs injected": "8,000",
        "Final test accuracy": "51.9 %",
        "Bytes per update": "1,235",
    }


def test_local_training_and_defenses_are_key_facts(make_results: Make, tmp_path: Path) -> None:
    client = {"batch_size": 8, "local_epochs": 3, "postprocess": [{"kind": "top_k"}, {"kind": "gaussian_noise"}]}
    scenario: dict[str, object] = {"federation": {"client": client, "partition": "iid"}}
    changes = {"scenario": scenario, "protocol": "fedavg"}
    found = tiles(make_page(make_results(rounds=1).model_copy(update=changes), tmp_path))
    assert (found["Batch size"], found["Local epochs"], found["Partition"]) == ("8", "3", "iid")
    assert found["Defense"] == "top k, gaussian noise"


def test_facts_that_nobody_knows_are_dashes(make_results: Make, tmp_path: Path) -> None:
    unknown = {"scenario": {"dataset": "digits"}, "pairs": None, "federation": (), "rows": (), "protocol": "other"}
    found = tiles(make_page(make_results(rounds=1).model_copy(update=unknown), tmp_path))
    assert (found["Dataset"], found["Model"], found["Clients"]) == ("digits", "—", "—")
    assert (found["Pairs injected"], found["Victims' images scored"], found["Protocol"]) == ("none", "0", "other")
    assert (found["Final test accuracy"], found["Bytes per update"]) == ("—", "—")


@pytest.mark.parametrize(
    ("epsilon", "unit", "title", "value"),
    [
        (2.5, "client", "Client-level ε, δ", "2.50, 1.0 \N{MULTIPLICATION SIGN} 10⁻⁵"),
        (float("inf"), None, "Example-level ε, δ", "infinite, 1.0 \N{MULTIPLICATION SIGN} 10⁻⁵"),
    ],
)
def test_differential_privacy_is_a_key_fact(
    make_results: Make, tmp_path: Path, epsilon: float, unit: str | None, title: str, value: str
) -> None:
    private = {"epsilon": epsilon, "delta": 1e-5, "privacy_unit": unit}
    assert tiles(make_page(make_results(rounds=1).model_copy(update=private), tmp_path))[title] == value


def test_the_example_is_a_median_picture_of_the_strongest_attack(make_results: Make, tmp_path: Path) -> None:
    results = make_results(rounds=3)
    page = make_page(results, tmp_path)
    strongest = next(s for s in results.attacks if s.attack == page.verdict.subject)
    median = [p for p in strongest.pictures if p.rank == "median"]
    middle = median[len(median) // 2]
    assert page.example is not None
    assert page.example.place == f"client {middle.victim}, round {middle.round}, image 0"


def test_there_is_no_example_where_its_picture_is_gone(make_results: Make, tmp_path: Path) -> None:
    results = make_results(rounds=1)
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    assert make_page(results, tmp_path).example is None


def test_the_scenario_is_yaml_in_its_own_order(make_results: Make, tmp_path: Path) -> None:
    scenario: dict[str, object] = {"name": "s", "attacks": [{"kind": "lti"}], "dataset": None}
    text = make_page(make_results(rounds=1).model_copy(update={"scenario": scenario}), tmp_path).scenario
    assert text == "name: s\nattacks:\n- kind: lti\ndataset: null\n"
