from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.digits import Digits
from fedleak.data.sources.resized import ResizedDataset, to_array, to_picture


def picture(width: int, height: int) -> Image.Image:
    """Each pixel's red says its column, its green its row."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_and_pictures_are_the_same_pixels(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    shown = to_picture(image)
    assert shown.size == (7, 5)
    np.testing.assert_array_equal(to_array(shown), image)


def test_without_settings_nothing_changes() -> None:
    image = picture(9, 6)
    assert Digits().fit(image) is image


def test_the_crop_is_a_centred_square_of_the_shorter_side() -> None:
    cut = to_array(Digits(crop=0.5).fit(picture(12, 8)))
    assert cut.shape == (3, 4, 4)
    assert cut[0, 0].tolist() == [4, 5, 6, 7]
    assert cut[1, :, 0].tolist() == [2, 3, 4, 5]


def test_without_a_crop_pictures_are_squashed() -> None:
    squashed = to_array(Digits(size=4).fit(picture(16, 8)))
    assert squashed.shape == (3, 4, 4)
    assert np.ptp(squashed[0]) > 10


def test_a_sweep_of_resolutions_keeps_labels_and_brightness() -> None:
    own = Digits().load()
    for size in (4, 16, 32):
        splits = Digits(size=size).load()
        assert splits.input_shape == (1, size, size)
        np.testing.assert_array_equal(splits.train.labels, own.train.labels)
        assert splits.train.images.mean() == pytest.approx(own.train.images.mean(), rel=0.05)


def test_all_images_are_fitted_as_one_is() -> None:
    data = LabelledImages(np.stack([to_array(picture(8, 6))] * 2), np.array([1, 0]))
    small: ResizedDataset = Digits(size=4, crop=1.0)
    for image in small.fit_all(data).images:
        np.testing.assert_array_equal(image, to_array(small.fit(picture(8, 6))))


def test_sizes_are_height_and_width() -> None:
    fitted = to_array(Digits(size=(6, 10)).fit(picture(40, 40)))
    assert fitted.shape == (3, 6, 10)
    assert (np.diff(fitted[0, 0].astype(int)) > 0).all(), "columns still run from left to right"
    assert (np.diff(fitted[1, :, 0].astype(int)) > 0).all()
    assert Digits(size=(6, 10)).load().input_shape == (1, 6, 10)


def test_one_number_is_short_for_a_square() -> None:
    image = picture(40, 30)
    np.testing.assert_array_equal(to_array(Digits(size=8).fit(image)), to_array(Digits(size=(8, 8)).fit(image)))


@pytest.mark.parametrize(("width", "height"), [(40, 40), (100, 20), (20, 100)])
def test_the_crop_has_the_proportions_of_the_size(width: int, height: int) -> None:
    """Twice as wide as high: nothing is distorted, so neighbouring columns and rows differ by the same."""
    fitted = to_array(Digits(size=(5, 10), crop=1.0).fit(picture(width, height))).astype(int)
    across, down = np.diff(fitted[0, 2]).mean(), np.diff(fitted[1, :, 5]).mean()
    assert across == pytest.approx(down, abs=0.35)


@pytest.mark.parametrize("size", [3, 2000, (8,), (8, 3), (8, 8, 8), (8, 2000), "8x8", 8.5])
def test_other_sizes_are_refused(size: object) -> None:
    with pytest.raises(ValidationError):
        Digits.model_validate({"size": size})
