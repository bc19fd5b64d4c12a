"""What image files become: pixel formats with known answers, and hundreds of damaged files."""

from __future__ import annotations

import io
import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fedleak.data.sources.pixels import Channels, read_picture
from fedleak.errors import InputError
from tests.data.sources.damaged import damaged_files, sound_files

GREY = np.array([[0, 1, 128], [200, 254, 255]], dtype=np.uint8)


def read(path: Path, channels: Channels = 1) -> NDArray[np.uint8]:
    picture = read_picture(path, channels=channels, setting="dataset.root", name=str(path))
    assert picture.mode == ("RGB" if channels == 3 else "L")
    return np.asarray(picture)


def saved(folder: Path, values: NDArray[Any] | Image.Image, name: str, **options: Any) -> Path:
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["x.png", "x.tiff", "x.pgm"])
def test_sixteen_bits_are_scaled_by_their_range(tmp_path: Path, name: str) -> None:
    deep = GREY.astype(np.uint16) * 257 + np.array([[100, 0, 0], [-100, 0, 0]], dtype=np.int16).astype(np.uint16)
    path = saved(tmp_path, deep, name)
    np.testing.assert_array_equal(read(path), GREY)
    np.testing.assert_array_equal(read(path, 3), np.stack([GREY] * 3, axis=-1))


def test_sixteen_bits_of_another_byte_order(tmp_path: Path) -> None:
    values = (GREY.astype(">u2") * 257).astype(">u2")
    path = saved(tmp_path, Image.frombytes("I;16B", (3, 2), values.tobytes()), "x.tiff")
    np.testing.assert_array_equal(read(path), GREY)


def test_sixteen_bit_colour_keeps_its_range(tmp_path: Path) -> None:
    samples = np.array([[[0, 65535, 32768]]], dtype=">u2")
    (tmp_path / "x.ppm").write_bytes(b"P6 1 1 65535\n" + samples.tobytes())
    assert read(tmp_path / "x.ppm", 3).ravel().tolist() == pytest.approx([0, 255, 128], abs=1)


def test_a_grey_map_is_scaled_by_the_largest_value_that_it_states(tmp_path: Path) -> None:
    (tmp_path / "x.pgm").write_bytes(b"P2 3 1 1000 0 500 1000\n")
    assert read(tmp_path / "x.pgm").ravel().tolist() == [0, 128, 255]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path, GREY > 127, "x.png")
    np.testing.assert_array_equal(read(path), np.where(GREY > 127, 255, 0))


@pytest.mark.parametrize(
    ("values", "name", "mode"),
    [
        (GREY.astype(np.float32) / 255, "float.tiff", "mode F"),
        (GREY.astype(np.int32) * 70000, "int.tiff", "mode I"),
    ],
)
def test_types_without_a_range_are_refused_by_name(tmp_path: Path, values: NDArray[Any], name: str, mode: str) -> None:
    path = saved(tmp_path, values, name)
    with pytest.raises(InputError, match=rf"dataset\.root.*{name}.*TIFF, {mode}\) have no defined largest value"):
        read(path)


def test_twelve_bits_are_scaled_by_their_range(tmp_path: Path) -> None:
    """Two values of twelve bits in three bytes: 4095 and 0."""
    entries = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 122), (277, 3, 1)]
    entries += [(278, 3, 1), (279, 4, 3)]
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    tags = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    content = header + tags + bytes(4)
    (tmp_path / "x.tiff").write_bytes(content + bytes(122 - len(content)) + b"\xff\xf0\x00")
    assert read(tmp_path / "x.tiff").ravel().tolist() == [255, 0]


def test_sixteen_bits_where_zero_is_white_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, GREY.astype(np.uint16), "x.tiff", tiffinfo={262: 0})
    with pytest.raises(InputError, match="0 stands for white"):
        read(path)


def test_transparent_pixels_are_blended_with_white(tmp_path: Path) -> None:
    colours = np.array([[[9, 20, 30, 255], [9, 20, 30, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    got = read(saved(tmp_path, colours, "x.png"), 3)
    np.testing.assert_array_equal(got, [[[9, 20, 30], [255, 255, 255], [127, 127, 127]]])


def test_grey_with_alpha_and_a_transparent_palette_are_blended_too(tmp_path: Path) -> None:
    grey = saved(tmp_path, Image.fromarray(np.array([[[7, 255], [7, 0]]], dtype=np.uint8)), "grey.png")
    assert read(grey).ravel().tolist() == [7, 255]
    palette = Image.new("P", (2, 1))
    palette.putpalette([7, 7, 7, 90, 90, 90])
    palette.putdata([0, 1])
    assert read(saved(tmp_path, palette, "palette.png", transparency=1)).ravel().tolist() == [7, 255]


def test_cmyk_becomes_colour(tmp_path: Path) -> None:
    got = read(saved(tmp_path, Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "x.tiff"), 3)
    assert got.ravel().tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tiff", "x.webp"])
def test_images_are_turned_upright(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by a quarter
    path = saved(tmp_path, Image.new("RGB", (6, 4)), name, exif=exif)
    assert read(path, 3).shape == (6, 4, 3)


@pytest.mark.parametrize("name", ["x.gif", "x.tiff", "x.png", "x.webp"])
def test_several_frames_are_refused(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=rf"{name}.*it has 2 frames"):
        read(path, 3)


def test_a_photograph_with_a_preview_is_the_photograph(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "x.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert read(path, 3)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize("side", [9000, 20000])
def test_a_gigantic_image_is_refused_without_decoding_it(tmp_path: Path, side: int) -> None:
    (tmp_path / "x.pgm").write_bytes(b"P5 %d %d 255\n" % (side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with pytest.raises(InputError, match=r"x\.pgm.*(too large|DecompressionBomb)"):
            read(tmp_path / "x.pgm")


def test_a_large_image_within_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.pgm").write_bytes(b"P5 4000 2200 255\n" + bytes(4000 * 2200))
    assert read(tmp_path / "x.pgm").shape == (2200, 4000)


def test_other_formats_are_not_opened_whatever_their_name(tmp_path: Path) -> None:
    """PostScript would start another program."""
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n")
    with pytest.raises(InputError, match="not a readable image"):
        read(tmp_path / "x.png")


def test_folders_links_to_nothing_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.png")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError, match="not a regular file"):
            read(path)


@pytest.mark.parametrize("name", sorted(sound_files()))
def test_the_files_that_are_damaged_below_are_sound(name: str) -> None:
    picture = read_picture(io.BytesIO(sound_files()[name]), channels=3, setting="dataset.root", name=name)
    assert min(picture.size) > 1


def outcome(name: str, content: bytes) -> InputError | Image.Image:
    try:
        return read_picture(io.BytesIO(content), channels=3, setting="dataset.root", name=name)
    except InputError as error:
        return error


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_read_or_refused_by_name() -> None:
    outcomes = {name: outcome(name, content) for name, content in damaged_files(each=25)}
    refusals = {name: error for name, error in outcomes.items() if isinstance(error, InputError)}
    assert len(refusals) > 150
    for name, error in refusals.items():
        assert (error.path, error.value) == ("dataset.root", name)
        assert "\n" not in str(error)
    assert {result.mode for result in outcomes.values() if isinstance(result, Image.Image)} == {"RGB"}
