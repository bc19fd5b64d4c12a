from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.sources.base import LabelledImages

IMAGES = np.arange(24, dtype=np.uint8).reshape(3, 1, 2, 4)
LABELS = np.array([2, 0, 1])


@pytest.mark.parametrize(
    ("images", "labels"),
    [(IMAGES.astype(np.float32), LABELS), (IMAGES[:, 0], LABELS), (IMAGES, LABELS[:2]), (IMAGES, LABELS[:, None])],
)
def test_wrong_shapes_and_types_are_refused(images: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        LabelledImages(images, labels)


def test_take_keeps_images_and_labels_together() -> None:
    taken = LabelledImages(IMAGES, LABELS).take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.images, IMAGES[[2, 0]])
    np.testing.assert_array_equal(taken.labels, [1, 2])


def test_take_copies() -> None:
    data = LabelledImages(IMAGES.copy(), LABELS)
    data.take(np.array([0])).images[:] = 9
    np.testing.assert_array_equal(data.images, IMAGES)
