"""Attacks side by side on the same images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedleak.errors import InputError
from fedleak.report.comparison import compare_attacks
from fedleak.results.schema import PICTURES, AttackSummary, ResultRow
from fedleak.stages.score.pictures import save_compared
from fedleak.stages.score.rows import MatchedImages


def rebuilt(run: Path, attack: str, victims: list[int]) -> AttackSummary:
    """An attack that rebuilt the images of these victims, all of its own shade."""
    rows = [
        ResultRow(attack=attack, kind=attack, victim=v, round=1, image=0, metrics={"mse": 0.1 * v}) for v in victims
    ]
    shade = torch.full((1, 8, 8), len(attack) / 10)
    scored = MatchedImages(rows, [shade] * len(rows), [torch.full((1, 8, 8), v / 10) for v in victims])
    return AttackSummary(
        attack=attack,
        kind=attack,
        is_baseline=False,
        description="",
        images=len(rows),
        metrics={},
        compared=save_compared(run / PICTURES, scored, rows),
    )


def test_attacks_keep_the_order_of_the_scenario_and_images_that_of_the_run(tmp_path: Path) -> None:
    lti, git, hybrid = (rebuilt(tmp_path, name, [3, 1, 2]) for name in ("lti", "git", "git_ig"))
    comparison = compare_attacks(tmp_path, (lti, git, hybrid))
    assert comparison is not None
    assert comparison.attacks == ("lti", "git", "git_ig")
    assert [row.place for row in comparison.rows] == [f"client {v}, round 1, image 0" for v in (1, 2, 3)]
    for row in comparison.rows:
        pictures = [pair.reconstruction.uri for pair in row.rebuilt if pair]
        assert pictures[0] == pictures[1] != pictures[2]  # shades go by the length of the name
        assert {pair.original.uri for pair in row.rebuilt if pair} == {row.original.uri}


def test_an_image_that_one_attack_failed_on_leaves_a_gap(tmp_path: Path) -> None:
    comparison = compare_attacks(tmp_path, (rebuilt(tmp_path, "lti", [1, 2]), rebuilt(tmp_path, "dlg", [2])))
    assert comparison is not None
    assert [[pair is not None for pair in row.rebuilt] for row in comparison.rows] == [[True, False], [True, True]]


def test_one_attack_alone_is_not_compared(tmp_path: Path) -> None:
    assert compare_attacks(tmp_path, (rebuilt(tmp_path, "lti", [1]), rebuilt(tmp_path, "dlg", []))) is None


def test_a_picture_outside_the_folder_is_refused(tmp_path: Path) -> None:
    lti, git = rebuilt(tmp_path, "lti", [1]), rebuilt(tmp_path, "git", [1])
    outside = lti.compared[0].model_copy(update={"reconstruction": "../../secret.png"})
    with pytest.raises(InputError, match="pictures must be in"):
        compare_attacks(tmp_path, (lti.model_copy(update={"compared": (outside,)}), git))
