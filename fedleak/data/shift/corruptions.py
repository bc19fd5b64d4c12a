"""Common corruptions of images, in five severities (Hendrycks & Dietterich 2019, arXiv 1903.12261).

Formulas and constants are those of the authors' benchmarks CIFAR-10-C, Tiny-ImageNet-C and ImageNet-C.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from fedleak.data.sources.base import Images
from fedleak.data.sources.resized import to_array, to_picture

Floats = NDArray[np.float64]
Corrupt = Callable[[Images, float, np.random.Generator], Images]
CorruptionName = Literal[
    "gaussian_noise", "shot_noise", "gaussian_blur", "brightness", "contrast", "jpeg_compression", "pixelate"
]
SIDES = (64, 128)
"""Smaller side: constants of CIFAR-10-C below the first, of Tiny-ImageNet-C below the second, else of ImageNet-C."""
CONSTANTS: Mapping[CorruptionName, tuple[tuple[float, ...], ...]] = {
    "gaussian_noise": ((0.04, 0.06, 0.08, 0.09, 0.1), (0.04, 0.08, 0.12, 0.15, 0.18), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": ((500, 250, 100, 75, 50), (250, 100, 50, 30, 15), (60, 25, 12, 5, 3)),
    "gaussian_blur": ((0.4, 0.6, 0.7, 0.8, 1.0), (0.5, 0.75, 1.0, 1.25, 1.5), (1, 2, 3, 4, 6)),
    "brightness": ((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": ((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "jpeg_compression": ((80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7)),
    "pixelate": ((0.95, 0.9, 0.85, 0.75, 0.65), (0.9, 0.8, 0.7, 0.6, 0.5), (0.6, 0.5, 0.4, 0.3, 0.25)),
}


def corrupted(images: Images, name: CorruptionName, severity: int, generator: np.random.Generator) -> Images:
    """Images ``(N, C, H, W)`` uint8, corrupted one by one.

    Args:
        severity: 1 to 5.
        generator: random generator of the noise.
    """
    side = min(images.shape[-2:])
    constants = CONSTANTS[name][sum(side >= limit for limit in SIDES)]
    return np.stack([CORRUPTIONS[name](image, constants[severity - 1], generator) for image in images])


def gaussian_noise(image: Images, std: float, generator: np.random.Generator) -> Images:
    """Gaussian noise: ``x + N(0, std^2)``, pixels in [0, 1]."""
    return _to_bytes(image / 255 + generator.normal(scale=std, size=image.shape))


def shot_noise(image: Images, photons: float, generator: np.random.Generator) -> Images:
    """Shot noise: ``Poisson(photons x) / photons``."""
    return _to_bytes(generator.poisson(image / 255 * photons) / photons)


def gaussian_blur(image: Images, sigma: float, generator: np.random.Generator) -> Images:
    """Gaussian filter of ``sigma`` pixels; edge pixels are repeated."""
    return _to_bytes(gaussian_filter(image / 255, sigma=(0, sigma, sigma), mode="nearest"))


def brightness(image: Images, amount: float, generator: np.random.Generator) -> Images:
    """Increase the HSV value, which is the largest channel; hue and saturation do not change."""
    pixels: Floats = image / 255
    value = pixels.max(axis=0, keepdims=True)
    raised = np.minimum(value + amount, 1)
    return _to_bytes(np.where(value > 0, pixels * raised / np.maximum(value, 1 / 255), raised))


def contrast(image: Images, factor: float, generator: np.random.Generator) -> Images:
    """Scale the differences from each channel's mean by ``factor``."""
    pixels: Floats = image / 255
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return _to_bytes((pixels - mean) * factor + mean)


def jpeg_compression(image: Images, quality: float, generator: np.random.Generator) -> Images:
    """Compress as JPEG with the given quality and decode."""
    file = io.BytesIO()
    to_picture(image).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as saved:
        return to_array(saved)


def pixelate(image: Images, share: float, generator: np.random.Generator) -> Images:
    """Downscale by box averaging and upscale again."""
    picture = to_picture(image)
    small = picture.resize((int(picture.width * share), int(picture.height * share)), Image.Resampling.BOX)
    return to_array(small.resize(picture.size, Image.Resampling.BOX))


def _to_bytes(pixels: Floats) -> Images:
    """Clip and round down, as the authors do."""
    return (pixels.clip(0, 1) * 255).astype(np.uint8)


CORRUPTIONS: Mapping[CorruptionName, Corrupt] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "gaussian_blur": gaussian_blur,
    "brightness": brightness,
    "contrast": contrast,
    "jpeg_compression": jpeg_compression,
    "pixelate": pixelate,
}
