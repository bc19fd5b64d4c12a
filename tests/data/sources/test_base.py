from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.digits import Digits
from fedleak.data.sources.synthetic import Synthetic
from fedleak.errors import InputError
from fedleak.examples import Normalisation

IMAGES = np.arange(24, dtype=np.uint8).reshape(3, 1, 2, 4)
LABELS = np.array([2, 0, 1])


@pytest.mark.parametrize(
    ("images", "labels"),
    [(IMAGES.astype(np.float32), LABELS), (IMAGES[:, 0], LABELS), (IMAGES, LABELS[:2]), (IMAGES, LABELS[:, None])],
)
def test_wrong_shapes_and_types_are_refused(images: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected|no known kind"):
        LabelledImages(images, labels)


def test_take_keeps_images_and_labels_together() -> None:
    taken = LabelledImages(IMAGES, LABELS).take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.images, IMAGES[[2, 0]])
    np.testing.assert_array_equal(taken.labels, [1, 2])


def test_take_copies() -> None:
    data = LabelledImages(IMAGES.copy(), LABELS)
    data.take(np.array([0])).images[:] = 9
    np.testing.assert_array_equal(data.images, IMAGES)


def test_normalisation_is_a_half_unless_it_is_set() -> None:
    assert Synthetic(images=10).load().normalisation == Normalisation((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ({"mean": 0.25}, (0.25,) * 3, (0.5,) * 3),
        ({"std": 1}, (0.5,) * 3, (1.0,) * 3),
        ({"mean": 0, "std": 1 / 255}, (0.0,) * 3, (1 / 255,) * 3),
        ({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    ],
)
def test_constants_are_one_number_or_one_per_channel(
    settings: dict[str, object], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    dataset = Synthetic.model_validate({"images": 10} | settings)
    assert dataset.load().normalisation == Normalisation(mean, std)
    assert Synthetic.model_validate(dataset.model_dump(mode="json")) == dataset


@pytest.mark.parametrize(
    "settings",
    [
        {"mean": 125},
        {"mean": -0.1},
        {"std": 0},
        {"std": -0.5},
        {"std": 58.4},
        {"std": float("nan")},
        {"std": [0.5, 0.0, 0.5]},
        {"mean": []},
        {"mean": [0.1] * 4},
        {"mean": True},
        {"mean": "0.5"},
    ],
)
def test_constants_of_another_scale_or_type_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Synthetic.model_validate(settings)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_constants_for_another_number_of_channels_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"dataset\.{name}: got \[0\.1, 0\.2, 0\.3\].*one for each of 1 channels"):
        Digits.model_validate({name: [0.1, 0.2, 0.3]}).load()


def test_constants_that_are_not_set_are_not_in_the_record() -> None:
    """The fingerprints of earlier runs stay."""
    assert not {"mean", "std"} & set(Digits().model_dump())
    assert Digits(mean=(0.25,)).model_dump()["mean"] == (0.25,)
