"""Every shift deals public and private images that have nothing in common, as the generator decides."""

from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.shift.base import Shift
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.examples import Normalisation
from fedleak.families import kinds
from tests.builders import with_required

KINDS = list(kinds("shift"))
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 12))


@pytest.fixture
def splits() -> DatasetSplits:
    """Images of noise, no two of them alike, in the digits' shape."""
    pixels = np.random.default_rng(1).integers(0, 256, (len(LABELS), 1, 8, 8), dtype=np.uint8)
    train = LabelledImages(pixels, LABELS.copy())
    return DatasetSplits(train, train, tuple("0123456789"), Normalisation((0.5,), (0.5,)))


def shift(kind: str) -> Shift:
    cls = kinds("shift")[kind]
    assert issubclass(cls, Shift)
    return with_required(cls, **({"dataset": "digits"} if "dataset" in cls.model_fields else {}))


def deal(kind: str, splits: DatasetSplits, *, seed: int = 0) -> tuple[LabelledImages, LabelledImages]:
    return shift(kind).deal(splits, public=30, generator=np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_of_every_image_what_it_may_be(kind: str) -> None:
    may_be_public, may_be_private = shift(kind).eligible(LABELS)
    for eligible in (may_be_public, may_be_private):
        assert eligible.shape == LABELS.shape
        assert eligible.dtype == np.bool_
    assert may_be_public.any()


@pytest.mark.parametrize("kind", KINDS)
def test_no_image_is_public_and_private(kind: str, splits: DatasetSplits) -> None:
    public, private = deal(kind, splits)
    assert len(public) == 30
    assert len(private) > 0
    assert not {image.tobytes() for image in public.images} & {image.tobytes() for image in private.images}


@pytest.mark.parametrize("kind", KINDS)
def test_public_images_are_the_data_sets_own_and_keep_their_labels(kind: str, splits: DatasetSplits) -> None:
    own = {image.tobytes(): label for image, label in zip(splits.train.images, splits.train.labels, strict=True)}
    public, _ = deal(kind, splits)
    assert [own[image.tobytes()] for image in public.images] == public.labels.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_private_images_fit_the_model(kind: str, splits: DatasetSplits) -> None:
    _, private = deal(kind, splits)
    assert private.images.shape[1:] == splits.input_shape
    assert private.labels.max() < len(splits.class_names)


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_are_not_changed_and_the_generator_decides(kind: str, splits: DatasetSplits) -> None:
    kept = splits.train.images.copy()
    for pool, same in zip(deal(kind, splits, seed=7), deal(kind, splits, seed=7), strict=True):
        np.testing.assert_array_equal(pool.images, same.images)
        np.testing.assert_array_equal(pool.labels, same.labels)
    np.testing.assert_array_equal(splits.train.images, kept)
    assert not np.array_equal(deal(kind, splits, seed=7)[0].images, deal(kind, splits, seed=8)[0].images)
