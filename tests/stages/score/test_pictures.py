from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedleak.results.schema import ResultRow
from fedleak.stages.score.pictures import COMPARED, PER_RANK, save_compared, save_pictures
from fedleak.stages.score.rows import MatchedImages


def scored_rows(errors: list[float | None], *, channels: int = 1) -> tuple[MatchedImages, list[ResultRow]]:
    rows = [
        ResultRow(attack="a/b", kind="k", victim=i, round=1, image=0, metrics={"mse": error})
        for i, error in enumerate(errors)
    ]
    images = [torch.full((channels, 2, 3), (i % 5) / 4) for i in range(len(errors))]
    return MatchedImages(rows, [1 - image for image in images], images), rows


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 18, 40])
def test_best_median_and_worst_by_squared_error_and_no_image_twice(tmp_path: Path, count: int) -> None:
    errors = np.random.default_rng(0).permutation(count).astype(float).tolist()
    pictures = save_pictures(tmp_path, *scored_rows(errors))
    ranks = {rank: sorted(errors[p.victim] for p in pictures if p.rank == rank) for rank in ("best", "median", "worst")}
    assert len({p.victim for p in pictures}) == len(pictures) == min(count, 3 * PER_RANK)
    assert ranks["best"] == list(range(len(ranks["best"])))
    if ranks["worst"]:
        assert ranks["worst"][-1] == count - 1
        assert max(ranks["best"]) < min([*ranks["median"], *ranks["worst"]])


def test_files_hold_the_pixels(tmp_path: Path) -> None:
    (picture,) = save_pictures(tmp_path, *scored_rows([0.5], channels=3))
    original, reconstruction = (
        np.asarray(Image.open(tmp_path / n)) for n in (picture.original, picture.reconstruction)
    )
    assert original.shape == (2, 3, 3)
    assert original.max() == 0
    assert reconstruction.min() == 255


def test_grey_images_are_grey_files(tmp_path: Path) -> None:
    (picture,) = save_pictures(tmp_path, *scored_rows([0.5]))
    assert Image.open(tmp_path / picture.original).mode == "L"


def test_files_stay_inside_the_folder_whatever_the_attack_is_called(tmp_path: Path) -> None:
    (picture,) = save_pictures(tmp_path, *scored_rows([0.5]))
    assert "/" not in picture.reconstruction
    assert (tmp_path / picture.reconstruction).is_file()


def test_rows_without_a_score_have_no_picture(tmp_path: Path) -> None:
    assert save_pictures(tmp_path / "none", *scored_rows([None])) == ()
    assert not (tmp_path / "none").exists()


def test_the_first_images_of_a_run_are_kept_whatever_their_errors(tmp_path: Path) -> None:
    scored, rows = scored_rows([0.9, 0.1, 0.5, 0.8, 0.2, 0.7, 0.3, 0.4])
    pictures = save_compared(tmp_path, scored, rows)
    assert [p.victim for p in pictures] == list(range(COMPARED))
    assert all((tmp_path / p.reconstruction).is_file() for p in pictures)


def test_without_a_score_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert save_compared(tmp_path, *scored_rows([None])) == ()
