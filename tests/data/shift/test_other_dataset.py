from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from fedleak.data.shift.other_dataset import OtherDataset
from fedleak.data.sources.synthetic import SHAPES, Synthetic
from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from tests.scenarios import scenario

PUBLIC = Synthetic(size=8, images=40)


def write_classes(folder: Path, count: int) -> Path:
    for i in range(count):
        (folder / f"class{i:02d}").mkdir(parents=True)
        for j in range(5):
            Image.new("RGB", (8, 8), (10 * i, j, 77)).save(folder / f"class{i:02d}/{j}.png")
    return folder


def deal(other: object, *, public: int = 10) -> tuple[np.ndarray, np.ndarray]:
    shift = OtherDataset.model_validate({"dataset": other})
    pools = shift.deal(PUBLIC.load(), public=public, generator=np.random.default_rng(0))
    return pools[0].images, pools[1].images


def test_clients_hold_the_training_images_of_the_other_data_set(tmp_path: Path) -> None:
    public, private = deal({"kind": "image_folder", "root": write_classes(tmp_path, 3)})
    assert len(public) == 10
    assert private.shape == (12, 3, 8, 8)
    assert set(private[:, 2].ravel()) == {77}


def test_all_images_of_the_own_data_set_may_be_public() -> None:
    public, private = deal({"kind": "synthetic", "size": 8, "images": 20, "seed": 5}, public=40)
    assert (len(public), len(private)) == (40, 20)
    with pytest.raises(InputError, match=r"adversary\.public_images: got 41; at most 40"):
        deal({"kind": "synthetic", "size": 8, "images": 20, "seed": 5}, public=41)


def test_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"adversary\.shift\.dataset: got \(1, 8, 8\).*\(3, 8, 8\)"):
        deal("digits")


def test_more_classes_than_the_model_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"it has 6 classes.*only {len(SHAPES)}"):
        deal({"kind": "image_folder", "root": write_classes(tmp_path, 6)})


def test_what_is_wrong_with_the_other_data_set_is_said_at_its_path() -> None:
    with pytest.raises(InputError, match=r"^adversary\.shift\.dataset\.root: got 'nowhere'"):
        deal({"kind": "image_folder", "root": "nowhere"})


def test_in_a_federation_public_and_private_images_come_from_the_two(tmp_path: Path) -> None:
    other = {"kind": "image_folder", "root": str(write_classes(tmp_path, 4)), "test_fraction": 0.4}
    plan = make_plan(
        scenario(
            dataset={"kind": "synthetic", "size": 8, "images": 80},
            adversary__shift={"kind": "other_dataset", "dataset": other},
        )
    )
    assert len(plan.public) == 60
    assert {int(value) for client in plan.clients for value in client.images[:, 2].ravel()} == {77}
    assert sum(len(client) for client in plan.clients) == 12


def test_normalisation_belongs_to_the_scenarios_data_set() -> None:
    """The model has one normalisation; another one of the private images would not be used."""
    with pytest.raises(ValidationError, match="set mean and std of the scenario's dataset"):
        OtherDataset.model_validate({"dataset": {"kind": "synthetic", "mean": 0.3}})
