from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedleak.errors import InputError
from fedleak.report.pictures import ShownImage, galleries, make_pair, read_image
from fedleak.results.schema import Picture, Results
from tests.report.summaries import summary

Make = Callable[..., Results]


def write_png(path: Path, width: int, height: int) -> bytes:
    """A grey picture; returns the file's bytes."""
    Image.fromarray(np.full((height, width), 128, np.uint8)).save(path)
    return path.read_bytes()


def picture(**changes: object) -> Picture:
    plain = {"rank": "best", "victim": 2, "round": 3, "image": 1, "original": "o.png", "reconstruction": "r.png"}
    metrics = {"ssim": 0.5, "psnr": 20.0, "mse": 0.01}
    return Picture.model_validate(plain | {"metrics": metrics} | changes)


@pytest.mark.parametrize(
    ("size", "shown", "enlarged"),
    [
        ((8, 8), (96, 96), True),
        ((28, 28), (84, 84), True),
        ((32, 16), (96, 48), True),
        ((96, 96), (96, 96), False),
        ((128, 128), (128, 128), False),
        ((256, 64), (128, 32), False),
        ((1000, 1), (128, 1), False),
    ],
)
def test_sizes_on_screen(tmp_path: Path, size: tuple[int, int], shown: tuple[int, int], enlarged: bool) -> None:
    write_png(tmp_path / "a.png", *size)
    image = read_image(tmp_path, "a.png")
    assert ((image.width, image.height), image.enlarged, image.problem) == (shown, enlarged, "")


def test_the_uri_holds_the_file_of_a_large_picture(tmp_path: Path) -> None:
    content = write_png(tmp_path / "a.png", 128, 128)
    head, _, data = read_image(tmp_path, "a.png").uri.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == content


def test_a_small_picture_is_embedded_with_sharp_pixels(tmp_path: Path) -> None:
    """8 pixels are shown as 96, and twice as many are embedded: squares of 24 pixels, which print does not blur."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = read_image(tmp_path, "a.png").uri.partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as embedded:
        assert np.array_equal(np.asarray(embedded), np.kron(pixels, np.ones((24, 24), np.uint8)))


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(16)])
def test_what_is_no_png_is_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert read_image(tmp_path, "a.png") == ShownImage(problem="not a PNG picture")


def test_a_picture_without_area_is_not_shown(tmp_path: Path) -> None:
    content = write_png(tmp_path / "a.png", 8, 8)
    (tmp_path / "a.png").write_bytes(content[:16] + bytes(4) + content[20:])
    assert read_image(tmp_path, "a.png").problem == "not a PNG picture"


@pytest.mark.parametrize("name", ["absent.png", "folder", "file/below.png"])
def test_a_missing_file_is_said_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert read_image(tmp_path, name) == ShownImage(problem="picture missing")


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname", "nul\0.png"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_png(tmp_path / "outside.png", 8, 8)
    with pytest.raises(InputError, match="picture"):
        read_image(folder, name)


def test_a_pair_has_its_place_and_its_scores_in_order(tmp_path: Path) -> None:
    write_png(tmp_path / "o.png", 8, 8)
    pair = make_pair(tmp_path, picture())
    assert pair.place == "client 2, round 3, image 1"
    assert pair.scores == ("MSE 0.0100", "PSNR 20.00 dB")
    assert (pair.original.problem, pair.reconstruction.problem) == ("", "picture missing")
    assert make_pair(tmp_path, picture(metrics={"mse": None})).scores == ()


def test_galleries_of_attacks_always_and_of_baselines_with_pictures(tmp_path: Path) -> None:
    ranked = tuple(picture(rank=rank) for rank in ("best", "median", "best", "worst"))
    bare = summary("baseline_mean_image", None)
    shown = summary("baseline_random_image", None).model_copy(update={"pictures": ranked})
    first, second = galleries(tmp_path, (summary("dlg", None), bare, shown))
    assert (first.name, first.images, first.ranks) == ("dlg", 0, ())
    assert second.name == "random public image"
    assert [(rank.title, len(rank.pairs)) for rank in second.ranks] == [("best", 2), ("median", 1), ("worst", 1)]
