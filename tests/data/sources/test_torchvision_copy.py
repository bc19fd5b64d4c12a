from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from fedleak.data.sources.torchvision_copy import from_cifar


def test_channels_come_first() -> None:
    pixels = np.arange(2 * 32 * 32 * 3, dtype=np.int64).reshape(2, 32, 32, 3).astype(np.uint8)
    data, names = from_cifar(SimpleNamespace(data=pixels, targets=[3, 9], classes=["a", "b"]))
    assert names == ("a", "b")
    assert data.images.shape == (2, 3, 32, 32)
    assert data.images.flags.c_contiguous
    np.testing.assert_array_equal(data.images[1, 2], pixels[1, :, :, 2])
    assert data.labels.tolist() == [3, 9]
