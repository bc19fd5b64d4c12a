from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

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
