from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.sources.drawing import CONTENTS, ContentName
from fedleak.data.sources.rendered import Rendered

KINDS: list[ContentName] = ["clock", "number", "text"]


@pytest.mark.parametrize("content", KINDS)
def test_classes_follow_from_what_is_written(content: ContentName) -> None:
    made = Rendered(content=content, images=60, size=16)
    splits = made.load()
    _, symbols = made.draw(72, np.random.default_rng(made.seed))
    expected = {"clock": symbols[:, 0], "number": symbols.sum(axis=1) % 10, "text": symbols[:, 0]}[content]
    np.testing.assert_array_equal(np.concatenate([splits.train.labels, splits.test.labels]), expected)
    assert splits.class_names == CONTENTS[content].class_names
    assert (len(splits.train), len(splits.test)) == (60, 12)


@pytest.mark.parametrize("content", KINDS)
def test_the_seed_decides(content: ContentName) -> None:
    first, again, other = (Rendered(content=content, images=10, size=16, seed=s).load().train for s in (0, 0, 1))
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize(("content", "length", "symbols"), [("clock", 5, (12, 12)), ("number", 2, (10, 10))])
def test_length_counts_characters(content: ContentName, length: int, symbols: tuple[int, ...]) -> None:
    assert CONTENTS[content].symbols(length) == symbols
    assert Rendered(content=content, length=length).draw(3, np.random.default_rng(0))[1].shape == (3, len(symbols))


def test_grey_images_of_any_size() -> None:
    assert Rendered(size=48, channels=1, images=10).load().input_shape == (1, 48, 48)
