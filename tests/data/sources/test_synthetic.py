from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.sources.synthetic import SHAPES, Synthetic, _mask


def test_sizes_are_as_asked_and_a_fifth_is_added_for_testing() -> None:
    splits = Synthetic(images=50, size=16).load()
    assert (len(splits.train), len(splits.test)) == (50, 10)
    assert splits.input_shape == (3, 16, 16)
    assert splits.class_names == SHAPES


def test_the_seed_decides() -> None:
    first, again, other = (Synthetic(images=20, size=8, seed=seed).load().train for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.images, other.images)


def test_every_class_occurs_and_images_differ() -> None:
    train = Synthetic(images=100, size=8).load().train
    assert set(train.labels) == set(range(len(SHAPES)))
    assert len(np.unique(train.images.reshape(100, -1), axis=0)) == 100


@pytest.mark.parametrize(
    ("shape", "inside", "outside"),
    [
        ("disc", (0.0, 0.0), (0.8, 0.8)),
        ("square", (0.8, 0.8), (1.1, 0.0)),
        ("ring", (0.8, 0.0), (0.0, 0.0)),
        ("cross", (0.9, 0.1), (0.9, 0.9)),
        ("stripes", (0.1, 0.1), (0.3, 0.3)),
    ],
)
def test_shapes_by_hand(shape: str, inside: tuple[float, float], outside: tuple[float, float]) -> None:
    x, y = np.array([inside, outside]).T[:, None, None]
    assert _mask(np.array(SHAPES.index(shape)), x, y).ravel().tolist() == [True, False]


def test_a_shape_stands_out_in_one_colour() -> None:
    """The middle of a disc is flat, while backgrounds slope."""
    train = Synthetic(images=60, size=32).load().train
    for image in train.images[train.labels == SHAPES.index("disc")]:
        colours, counts = np.unique(image.reshape(3, -1).T, axis=0, return_counts=True)
        assert len(colours) > 1
        assert counts.max() > 40
