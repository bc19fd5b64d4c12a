"""Names of axes and attacks that a study uses but does not have."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.errors import InputErrors
from fedleak.studies.study import load_study
from tests.studies.builders import study


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
        (claim(where={"depth": 3}), "claims.0.where.depth", "expected attack or an axis; axes: adversary.injection"),
        (claim(where={"hidden": 5}), "claims.0.where.hidden", "not a value of that axis; values: 4, 8"),
        (published(depth=3), "published.values.0.where.depth", "expected attack or an axis"),
        ({"figure": {"along": "depth"}}, "figure.along", "no such axis"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(blocks: dict[str, Any], path: str, reason: str) -> None:
    (error,) = errors(**blocks)
    assert error.startswith(f"{path}: got ")
    assert reason in error


def test_all_are_told_at_once() -> None:
    assert len(errors(**claim(along="x", where={"attack": "y"}), figure={"along": "z"})) == 3
