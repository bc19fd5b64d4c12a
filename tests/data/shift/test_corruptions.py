from __future__ import annotations

from typing import get_args

import matplotlib.colors
import numpy as np
import pytest
from numpy.typing import NDArray

from fedleak.data.shift.corruptions import (
    CONSTANTS,
    CORRUPTIONS,
    CorruptionName,
    brightness,
    contrast,
    corrupted,
    pixelate,
)
from fedleak.data.shift.corruptions import gaussian_blur as blur

NAMES: tuple[CorruptionName, ...] = get_args(CorruptionName)


def photographs(side: int, channels: int = 3, count: int = 4) -> NDArray[np.uint8]:
    """Smooth random images with an edge."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    waves = generator.uniform(1, 9, (2, count, channels, 1, 1))
    images = 0.5 + 0.4 * np.sin(waves[0] * x + waves[1] * y)
    images[:, :, 3 * side // 7 :] *= 0.4  # no edge of the larger pixels
    return (images * 255).astype(np.uint8)


def error(images: NDArray[np.uint8], name: CorruptionName, severity: int) -> float:
    changed = corrupted(images, name, severity, np.random.default_rng(1))
    return float(np.square((changed.astype(float) - images) / 255).mean())


def test_every_name_has_a_function_and_fifteen_constants() -> None:
    assert set(NAMES) == set(CORRUPTIONS) == set(CONSTANTS)
    assert all(np.array(CONSTANTS[name]).shape == (3, 5) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (32, 3), (64, 3), (128, 1)])
def test_images_stay_images_of_their_shape(name: CorruptionName, side: int, channels: int) -> None:
    images = photographs(side, channels)
    kept = images.copy()
    changed = corrupted(images, name, 5, np.random.default_rng(0))
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, images)
    np.testing.assert_array_equal(images, kept)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [32, 64, 128])
def test_the_most_severe_is_worse_than_the_least(name: CorruptionName, side: int) -> None:
    images = photographs(side)
    assert error(images, name, 5) > 1.5 * error(images, name, 1) > 0


@pytest.mark.parametrize(("side", "std"), [(32, 0.08), (64, 0.12), (128, 0.18)])
def test_the_noise_is_that_of_the_benchmark_of_the_size(side: int, std: float) -> None:
    grey = np.full((3, 3, side, side), 128, dtype=np.uint8)
    assert error(grey, "gaussian_noise", 3) == pytest.approx(std**2, rel=0.05)


def test_shot_noise_grows_with_brightness_as_photons_do() -> None:
    images = np.stack([np.full((3, 64, 64), value, dtype=np.uint8) for value in (51, 204)])
    changed = corrupted(images, "shot_noise", 1, np.random.default_rng(0)) / 255
    np.testing.assert_allclose(changed.var(axis=(1, 2, 3)), [0.2 / 250, 0.8 / 250], rtol=0.1)


def test_noise_comes_from_the_generator() -> None:
    images = photographs(32)
    first, again, other = (corrupted(images, "gaussian_noise", 2, np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_brightness_adds_to_the_value_of_hsv() -> None:
    image = photographs(16, count=1)[0]
    image[:, 0, 0] = 0  # black has no hue
    hsv = matplotlib.colors.rgb_to_hsv(image.transpose(1, 2, 0) / 255)
    hsv[..., 2] = (hsv[..., 2] + 0.3).clip(0, 1)
    expected = matplotlib.colors.hsv_to_rgb(hsv).transpose(2, 0, 1) * 255
    changed = brightness(image, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(changed, expected, atol=1.001)  # rounded down


def test_contrast_by_hand() -> None:
    image = np.array([[[0, 255], [255, 255]]], dtype=np.uint8)
    assert contrast(image, 0.5, np.random.default_rng(0)).ravel().tolist() == [95, 223, 223, 223]


def test_blur_spreads_a_point_and_keeps_its_light() -> None:
    image = np.zeros((1, 15, 15), dtype=np.uint8)
    image[0, 7, 7] = 255
    spread = blur(image, 1.0, np.random.default_rng(0))[0]
    assert spread[7, 7] == int(255 / (2 * np.pi))
    np.testing.assert_array_equal(spread, spread.T)


def test_pixelation_leaves_boxes_of_one_colour() -> None:
    boxes = pixelate(photographs(32, count=1)[0], 0.25, np.random.default_rng(0))
    corners = boxes[:, ::4, ::4]
    np.testing.assert_array_equal(boxes, corners.repeat(4, axis=1).repeat(4, axis=2))
