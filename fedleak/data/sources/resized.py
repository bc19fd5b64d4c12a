"""Base class of data sets with optional cropping and resizing."""

from __future__ import annotations

import numpy as np
from PIL import Image
from pydantic import Field

from fedleak.data.sources.base import Dataset, Images, LabelledImages


class ResizedDataset(Dataset):
    """Base class of data sets whose images can be cropped and resized."""

    size: int | None = Field(default=None, ge=4, le=1024)
    """Resize to this height and width, bicubic (default: no resizing)."""
    crop: float | None = Field(default=None, gt=0, le=1)
    """First crop a centred square of this share of the shorter side; 0.875 is ImageNet's usual 224 of 256.
    Without it, resizing distorts images that are not square."""

    def fit(self, image: Image.Image) -> Image.Image:
        """Crop and resize one image."""
        if self.crop is not None:
            side = max(1, round(self.crop * min(image.size)))
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        if self.size is not None and image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return image

    def fit_all(self, data: LabelledImages) -> LabelledImages:
        """Crop and resize all images."""
        if self.size is None and self.crop is None:
            return data
        fitted = [to_array(self.fit(to_picture(image))) for image in data.images]
        return LabelledImages(np.stack(fitted), data.labels)


def to_picture(image: Images) -> Image.Image:
    """Convert ``(C, H, W)`` uint8 with one or three channels to a PIL image."""
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def to_array(picture: Image.Image) -> Images:
    """Convert a PIL image to ``(C, H, W)`` uint8."""
    array = np.asarray(picture, dtype=np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
