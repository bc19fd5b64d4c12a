"""Pixels on their way: stored, compared, fed to networks, shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.examples import IMAGES, LARGEST, Normalisation, kind_of, to_picture, to_unit

TWO = Normalisation((0.5, 0.2), (0.25, 0.1))


def test_each_channel_has_its_own_mean_and_deviation() -> None:
    images = torch.tensor([0.75, 0.3]).reshape(1, 2, 1, 1).expand(3, 2, 4, 5)
    torch.testing.assert_close(TWO.apply(images), torch.ones(3, 2, 4, 5))


@pytest.mark.parametrize("shape", [(2, 3, 3), (4, 2, 3, 3), (2, 4, 2, 3, 3)])
def test_undo_is_the_inverse_for_any_number_of_batches(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(TWO.undo(TWO.apply(images)), images)


def test_nothing_is_clamped() -> None:
    assert Normalisation((0.5,), (0.5,)).undo(torch.full((1, 1, 1), 3.0)).item() == 2.0


def test_constants_follow_dtype_and_shape() -> None:
    mean, std = TWO.constants(torch.zeros(1, dtype=torch.float64))
    assert (mean.dtype, mean.shape, std.shape) == (torch.float64, (2, 1, 1), (2, 1, 1))
    assert mean.flatten().tolist() == [0.5, 0.2]


def test_stored_images_become_floats_in_the_unit_interval() -> None:
    stored = np.array([0, 51, 255], np.uint8)
    for given in (stored, torch.from_numpy(stored), np.flip(stored)[::-1]):
        unit = to_unit(given)
        assert (unit.dtype, unit.tolist()) == (torch.float32, pytest.approx([0.0, 0.2, 1.0]))


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float64, np.bool_])
def test_other_types_have_no_known_range_and_are_refused(dtype: type) -> None:
    """65535 as uint16 would become 257."""
    with pytest.raises(TypeError, match="stored examples are uint8 or float32, not"):
        to_unit(np.ones(3, dtype))


def test_a_gray_image_is_shown_without_channels_and_a_coloured_one_with_them_last() -> None:
    gray = torch.tensor([[[0.0, 1.0]]])
    assert to_picture(gray).tolist() == [[0, 255]]
    coloured = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1)
    picture = to_picture(coloured)
    assert (picture.shape, picture.dtype) == ((1, 1, 3), np.uint8)
    assert picture[0, 0].tolist() == [0, 128, 255]


def test_values_out_of_range_are_shown_as_black_or_white() -> None:
    assert to_picture(torch.tensor([[[-3.0, 7.0]]])).tolist() == [[0, 255]]


def test_every_stored_value_survives_the_way_there_and_back() -> None:
    stored = np.arange(LARGEST + 1, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(to_picture(to_unit(stored)), stored[0])


def test_images_are_a_kind_and_other_shapes_are_none() -> None:
    assert kind_of((3, 8, 8)) is IMAGES
    with pytest.raises(ValueError, match=r"\(4, 5\) are of no known kind; known: images \(C, H, W\)"):
        kind_of((4, 5))


def test_floats_are_stored_as_they_are_compared() -> None:
    stored = np.array([[0.25, 1.0]], np.float32)
    assert to_unit(stored).tolist() == [[0.25, 1.0]]


def test_one_constant_serves_any_shape() -> None:
    assert Normalisation((0.5,), (0.25,)).apply(torch.full((2, 7), 1.0)).shape == (2, 7)
