from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError, InputErrors
from fedleak.studies.study import is_study, load_study
from tests.scenarios import command, tiny
from tests.studies.builders import study, write_study


def paths(error: InputError) -> list[str]:
    return [e.path for e in error.errors] if isinstance(error, InputErrors) else [error.path]


def test_cells_are_the_points_times_the_seeds() -> None:
    loaded = load_study(study(seeds=[3, 4]))
    assert [(cell.point["attacks.lti.hidden"], cell.seed) for cell in loaded.cells[:4]] == [
        (4, 3),
        (4, 4),
        (8, 3),
        (8, 4),
    ]
    assert len(loaded.cells) == len(loaded.keys) == 8


def test_cells_that_differ_only_in_attacks_share_their_federation() -> None:
    cells = load_study(study()).cells
    assert len({cell.federation for cell in cells}) == 2
    assert {cell.federation for cell in cells if cell.point["adversary.injection.pairs"] == 30} == {cells[0].federation}


def test_keys_depend_on_content_alone() -> None:
    first = load_study(study())
    renamed = study(matrix={"p": {"few": {"adversary.injection.pairs": 30}}, "attacks.lti.hidden": [4]})
    renamed["claims"] = []
    assert load_study(renamed).keys == (first.cells[0].key,)
    assert load_study(study(description="another")).keys == first.keys


def test_points_that_are_the_same_scenario_share_a_key() -> None:
    loaded = load_study(study(matrix={"v": {"one": {"seed": 5}, "two": {"seed": 5}}}, claims=[]))
    assert len(loaded.cells) == 2
    assert len(loaded.keys) == 1


def test_inside_a_cell_the_clients_run_serially() -> None:
    raw = study()
    raw["federation"]["engine"] = {"kind": "ray", "cpus": 2}
    assert {cell.scenario.federation.engine.kind for cell in load_study(raw).cells} == {"serial"}


def test_a_budget_may_change_scenario_matrix_and_seeds() -> None:
    loaded = load_study(study(), budget="more")
    assert [(cell.point["attacks.lti.hidden"], cell.seed) for cell in loaded.cells] == [(8, 0), (8, 1)] * 2
    assert loaded.budget == "more"


def test_overrides_reach_an_axis_by_its_whole_path(tmp_path: Path) -> None:
    loaded = load_study(write_study(tmp_path), overrides=["matrix.adversary.injection.pairs=[40]", "claims=[]"])
    assert {cell.scenario.adversary.injection.pairs for cell in loaded.cells if cell.scenario.adversary.injection} == {
        40
    }


def test_a_claim_may_be_written_with_its_kind_as_the_key() -> None:
    claim = {"metric": "mse", "left": {"attack": "lti"}, "right": {"attack": "baseline_mean_image"}}
    short = load_study(study(claims=[{"less": claim, "says": "words"}])).settings.claims
    assert short == load_study(study(claims=[{"kind": "less", "says": "words", **claim}])).settings.claims


def test_a_plain_scenario_is_no_study() -> None:
    assert is_study(study())
    assert not is_study(tiny())


CLAIM = {"metric": "mse", "along": "pairs", "direction": "decreasing"}


@pytest.mark.parametrize(
    ("blocks", "path"),
    [
        ({"claimz": []}, "claimz"),
        ({"matrix": {"attacks.dlg.x": [1]}}, "attacks.dlg.x (in the cell x=1)"),
        ({"matrix": {"federation.clients": [3, 1]}}, "federation.clients (in the cell clients=1)"),
        ({"matrix": {"federation.client": [{"protocl": 1}]}, "claims": []}, None),
        ({"claims": [{"monotone": {**CLAIM, "along": "rounds"}}]}, "claims.0.along"),
        ({"claims": [{"monotone": {**CLAIM, "where": {"attack": "dlg"}}}]}, "claims.0.where.attack"),
        ({"claims": [{"monotone": {**CLAIM, "where": {"pairs": 31}}}]}, "claims.0.where.pairs"),
        ({"claims": [{"monotone": {**CLAIM, "direction": "up"}}]}, "claims.0.direction"),
        ({"claims": [{"monotone": {**CLAIM, "metrik": "x"}}]}, "claims.0.metrik"),
        ({"claims": [{"monoton": CLAIM}]}, "claims.0.kind"),
        ({"figure": {"along": "rounds"}}, "figure.along"),
        (
            {"published": {"values": [{"metric": "mse", "value": 1, "where": {"stage": 1}}]}},
            "published.values.0.where.stage",
        ),
        ({"seeds": [-1]}, None),
        ({"matrix": {"federation.rounds": [1], "exclude": [{"rounds": 1}]}, "claims": []}, "matrix"),
    ],
)
def test_what_is_wrong_is_named_by_its_yaml_path(blocks: dict[str, Any], path: str | None) -> None:
    with pytest.raises(InputError) as caught:
        load_study(study(**blocks))
    assert path is None or paths(caught.value) == [path]


def test_unknown_budgets_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'more'"):
        load_study(study(), budget="mor")


def test_a_published_value_may_lie_outside_the_budget() -> None:
    published = {"values": [{"metric": "mse", "value": 1.0, "where": {"attack": "lti", "pairs": 10000}}]}
    assert load_study(study(published=published)).settings.published.values[0].value == 1.0


def test_seeds_and_an_axis_of_seeds_are_not_both_taken() -> None:
    """The axis would be ignored."""
    with pytest.raises(InputError, match=r"seeds: got \[1\]; the matrix varies seed, too"):
        load_study(study(matrix={"seed": [0, 1]}, claims=[]), seed=1)


def test_validation_looks_into_every_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study(tmp_path, budgets={"more": {"seeds": [0, 1]}, "large": {"table.metrics": ["zzz"]}})
    assert command(capsys, "validate", path, "--budget", "more").code == 0
    outcome = command(capsys, "validate", path)
    assert outcome.code == 2
    assert outcome.errors[0].startswith("table.metrics.0 (in budget large): got 'zzz'; no such metric")
