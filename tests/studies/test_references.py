"""Names of axes and attacks that a study uses but does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedleak import families
from fedleak.errors import InputErrors
from fedleak.metrics.theory.base import Theory
from fedleak.studies.study import load_study
from tests.scenarios import command
from tests.studies.builders import study, write_study


def errors(**blocks: Any) -> list[str]:
    """What is refused."""
    with pytest.raises(InputErrors) as caught:
        load_study(study(**blocks))
    return [str(error) for error in caught.value.errors]


def claim(**settings: Any) -> dict[str, Any]:
    return {"claims": [{"monotone": {"metric": "mse", "along": "pairs", "direction": "decreasing"} | settings}]}


def published(**where: Any) -> dict[str, Any]:
    return {"published": {"values": [{"metric": "mse", "value": 0.1, "where": where}]}}


@pytest.mark.parametrize(
    "blocks",
    [
        claim(),
        claim(along="adversary.injection.pairs"),
        claim(along="round"),
        claim(where={"attack": "lti", "hidden": 4}),
        claim(where={"attack": "baseline_mean_image", "round": 2}),
        published(pairs=30, attack="lti"),
        published(pairs=999),
        {"published": {"values": [{"metric": "lpips", "value": 0.1}]}},
        claim(metric="label_accuracy"),
        claim(values=[60, 30]),
        claim(along="round", values=[1, 2]),
        {"table": {"metrics": ["ssim", "final_accuracy"]}},
        {"costs": {"more": 3}},
        {"claims": [{"correlates": {"x": "psnr", "y": "accuracy", "along": "round"}}]},
        {"figure": {"along": "hidden"}},
    ],
)
def test_what_there_is_may_be_named(blocks: dict[str, Any]) -> None:
    """In full or by the last part of a path; published numbers may stand at values that this budget leaves out."""
    assert load_study(study(**blocks)).cells


@pytest.mark.parametrize(
    ("blocks", "path", "reason"),
    [
        (claim(along="rounds"), "claims.0.along", "no such axis; did you mean 'round'?"),
        (claim(where={"attack": "ltj"}), "claims.0.where.attack", "no such attack; did you mean 'lti'?"),
        (claim(where={"round": 0}), "claims.0.where.round", "expected the number of a round"),
        (claim(where={"round": "one"}), "claims.0.where.round", "expected the number of a round"),
        (claim(control={"attack": "ltj"}), "claims.0.control.attack", "no such attack; did you mean 'lti'?"),
        (claim(control={"hidden": 5}), "claims.0.control.hidden", "not a value of that axis; values: 4, 8"),
        (claim(where={"depth": 3}), "claims.0.where.depth", "expected attack or an axis; axes: adversary.injection"),
        (claim(where={"hidden": 5}), "claims.0.where.hidden", "not a value of that axis; values: 4, 8"),
        (published(depth=3), "published.values.0.where.depth", "expected attack or an axis"),
        (claim(where={"hiden": 4}), "claims.0.where.hiden", "did you mean 'hidden'?"),
        (claim(where={"attack": "baseline_mean"}), "claims.0.where.attack", "did you mean 'baseline_mean_image'?"),
        (claim(where={"attack": "theory_local_drift"}), "claims.0.where.attack", "no such attack"),
        (claim(where={"round": 3}), "claims.0.where.round", "no update of that round is attacked; rounds: 1, 2"),
        (claim(where={"round": True}), "claims.0.where.round", "expected the number of a round"),
        (claim(values=[30, 61]), "claims.0.values.1", "not a value of that axis; values: 30, 60"),
        (claim(along="round", values=[1, 5]), "claims.0.values.1", "rounds: 1, 2"),
        (claim(metric="zzz"), "claims.0.metric", "no such metric; measured: accuracy, fft_2d"),
        (claim(metric="mes"), "claims.0.metric", "no such metric; did you mean 'mse'?"),
        (claim(metric="lpips"), "claims.0.metric", "set metrics.lpips to {}"),
        (claim(metric="igsa"), "claims.0.metric", "add igsa to analyses"),
        (claim(metric="shrinkage"), "claims.0.metric", "add local_drift to theory"),
        (claim(metric="wsrr"), "claims.0.metric", "needs metrics.leaked and an attack that is listed twice"),
        (claim(metric="weight_distance"), "claims.0.metric", "such as git_exact"),
        (
            claim(metric="label_accuracy", where={"attack": "baseline_mean_image"}),
            "claims.0.metric",
            "it is not measured there",
        ),
        ({"claims": [{"within": {"metric": "zzz", "low": 0, "high": 1}}]}, "claims.0.metric", "no such metric"),
        ({"claims": [{"at_least": {"metric": "zzz", "value": 0}}]}, "claims.0.metric", "no such metric"),
        ({"claims": [{"correlates": {"x": "zzz", "y": "mse"}}]}, "claims.0.x", "no such metric"),
        ({"claims": [{"correlates": {"x": "mse", "y": "zzz"}}]}, "claims.0.y", "no such metric"),
        (
            {"claims": [{"correlates": {"x": "mse", "y": "psnr", "along": "zzz"}}]},
            "claims.0.along",
            "no such axis; axes: ",
        ),
        (
            {"claims": [{"less": {"metric": "mse", "left": {"pairs": 30}, "right": {"pairs": 31}}}]},
            "claims.0.right.pairs",
            "not a value of that axis",
        ),
        (
            {"claims": [{"less": {"metric": "mse", "left": {"attack": "ltj"}, "right": {"pairs": 30}}}]},
            "claims.0.left.attack",
            "did you mean 'lti'?",
        ),
        ({"figure": {"along": "depth"}}, "figure.along", "no such axis"),
        ({"figure": {"along": "hidden", "metric": "zzz"}}, "figure.metric", "no such metric"),
        ({"figure": {"along": "hidden", "beside": ["psnr", "zzz"]}}, "figure.beside.1", "no such metric"),
        ({"table": {"metrics": ["mse", "zzz"]}}, "table.metrics.1", "no such metric"),
        ({"table": {"metrics": ["lpips"]}}, "table.metrics.0", "set metrics.lpips to {}"),
        ({"published": {"values": [{"metric": "zzz", "value": 1}]}}, "published.values.0.metric", "no such metric"),
        ({"costs": {"moer": 3}}, "costs.moer", "no such budget; did you mean 'more'?"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(blocks: dict[str, Any], path: str, reason: str) -> None:
    (error,) = errors(**blocks)
    assert error.startswith(f"{path}: got ")
    assert reason in error


def test_all_are_told_at_once() -> None:
    assert len(errors(**claim(along="x", where={"attack": "y"}), figure={"along": "z"})) == 3


def test_metrics_of_theorems_and_repeated_attacks_may_be_named() -> None:
    twice = [{"kind": "lti", "id": name, "hidden": 8, "training": {"epochs": 1}} for name in ("one", "two")]
    claims = [
        {"at_least": {"metric": "shrinkage", "value": 0, "where": {"attack": "theory_local_drift"}}},
        {"at_least": {"metric": "wsrr_ssim", "value": 0}},
    ]
    blocks: dict[str, Any] = {"attacks": twice, "theory": ["local_drift"], "matrix": {"seed": [0]}, "claims": claims}
    assert load_study(study(**blocks, metrics={"leaked_ssim": {}})).cells


def test_a_claim_about_an_excluded_point_is_refused() -> None:
    matrix = {"adversary.injection.pairs": [30, 60], "attacks.lti.hidden": [4, 8]}
    hole = {"exclude": [{"pairs": 30, "hidden": 4}]}
    less = {"less": {"metric": "mse", "left": {"pairs": 60, "hidden": 4}, "right": {"pairs": 30}}}
    (error,) = errors(matrix=matrix | hole, claims=[less])
    assert error == "claims.0.right: got {'pairs': 30}; no cell of the study has this attack there"


def test_an_attack_of_one_variant_has_its_metrics_there_alone() -> None:
    """The same name stands for another kind in each variant."""
    lti, exact = {"kind": "lti", "id": "a", "hidden": 8}, {"kind": "git_exact", "id": "a"}
    blocks: dict[str, Any] = {"matrix": {"sort": {"lti": {"attacks": [lti]}, "exact": {"attacks": [exact]}}}}
    there = {"at_least": {"metric": "weight_distance", "value": 0, "where": {"sort": "exact"}}}
    assert load_study(study(**blocks, claims=[there], budgets={})).cells
    (error,) = errors(
        **blocks, claims=[{"at_least": {"metric": "weight_distance", "value": 0, "where": {"sort": "lti"}}}]
    )
    assert error.startswith("claims.0.metric: got 'weight_distance'; only an attack that estimates")


@pytest.mark.parametrize("name", ["study", "validate"])
def test_the_commands_refuse_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = write_study(tmp_path, table={"metrics": ["zzz"]})
    out = ["--out", tmp_path / "out"] if name == "study" else []
    outcome = command(capsys, name, path, *out)
    assert outcome.code == 2
    assert outcome.errors[0].startswith("table.metrics.0: got 'zzz'; no such metric; measured: accuracy")
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_columns_of_theorems_are_those_that_they_predict() -> None:
    """``columns`` is what a study may name; the predictions are tested beside each theorem."""
    known = {name: theory.columns for name, theory in families.kinds("theory").items() if issubclass(theory, Theory)}
    assert known == {"local_drift": ("shrinkage",), "same_gradient": ("update_gap", "second_batch", "outside")}
