"""Base class of data sets with optional cropping and resizing."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from fedleak.data.sources.base import Dataset, Images, LabelledImages

Side = Annotated[int, Field(ge=4, le=1024)]


class ResizedDataset(Dataset):
    """Base class of data sets whose images can be cropped and resized."""

    size: Side | tuple[Side, Side] | None = None
    """Resize to this height and width, bicubic: one number for squares, or ``[H, W]`` (default: no resizing)."""
    crop: float | None = Field(default=None, gt=0, le=1)
    """First crop this share of the largest centred square, or of the largest centred rectangle with the proportions of
    ``size``; 0.875 is ImageNet's usual 224 of 256. Without it (null, the default), resizing distorts images of other
    proportions."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """``(H, W)`` after resizing; None if images keep their size."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def fit(self, image: Image.Image) -> Image.Image:
        """Crop and resize one image."""
        shape = self.shape
        if self.crop is not None:
            proportion = shape[1] / shape[0] if shape else 1.0
            height = self.crop * min(image.height, image.width / proportion)
            wide, high = max(1, round(height * proportion)), max(1, round(height))
            left, top = (image.width - wide) // 2, (image.height - high) // 2
            image = image.crop((left, top, left + wide, top + high))
        if shape is not None and image.size != shape[::-1]:
            image = image.resize(shape[::-1], Image.Resampling.BICUBIC)
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
