"""Image files: mutated ones of every format and mode, and what is no image at all, in class folders."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz import bases
from tests.fuzz.arena import Arena
from tests.fuzz.harness import Effort, efforts
from tests.fuzz.hostile import mutated_bytes, scattered

FORMATS = {
    "png": ("PNG", ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
    "jpg": ("JPEG", ("RGB", "L", "CMYK")),
    "ppm": ("PPM", ("RGB", "L", "1", "I;16")),
    "gif": ("GIF", ("P", "L", "RGB")),
    "tif": ("TIFF", ("RGB", "L", "F", "I;16", "CMYK", "1")),
    "bmp": ("BMP", ("RGB", "L", "1")),
    "webp": ("WEBP", ("RGB", "RGBA")),
}
HEADER = 64
SCENARIO = bases.SMALL | {
    "dataset": {"kind": "image_folder", "root": "pictures", "size": 8},
    "federation": {"clients": 2, "rounds": 1, "engine": {"kind": "serial"}},
    "adversary": {"level": 4, "public_images": 2, "victims": {"clients": [0, 1]}},
    "attacks": ["linear_layer"],
}
TREE = {f"{name}/{number}.png": ("png", "RGB") for name in "ab" for number in range(6)}
"""The healthy pictures around the mutated one."""


@cache
def picture(suffix: str, mode: str, side: int = 9) -> bytes:
    """A small picture of one format and mode, as a file."""
    values = np.random.default_rng(side).integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    out = io.BytesIO()
    image.save(out, FORMATS[suffix][0])
    return out.getvalue()


def all_pictures() -> list[tuple[str, bytes]]:
    """Suffix and content of a picture of every format and mode."""
    return [(suffix, picture(suffix, mode)) for suffix, (_, modes) in FORMATS.items() for mode in modes]


@st.composite
def mutated_pictures(draw: st.DrawFn) -> tuple[str, bytes]:
    """Suffix and content: a mutated picture, now and then under another format's suffix."""
    suffix, content = draw(scattered(all_pictures()))
    others = [other for _, other in all_pictures()]
    data = draw(mutated_bytes([content, content, content, draw(scattered(others))], head=HEADER))
    return draw(scattered((suffix, suffix, suffix, *FORMATS))), data


def write_tree(folder: Path) -> Path:
    """A scenario and its class folders of healthy pictures; returns the scenario."""
    for name, (suffix, mode) in TREE.items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(suffix, mode))
    return bases.write(folder, SCENARIO)


def load_with(arena: Arena, suffix: str, content: bytes, *, first: bool = True) -> None:
    """``validate --data`` with one more picture: the first of its class, which is read first, or the last."""
    with arena.folder() as folder:
        scenario = write_tree(folder)
        (folder / "pictures/a" / f"{'0' if first else 'z'}.{suffix}").write_bytes(content)
        (folder / "pictures/a/0.png").unlink() if first and suffix != "png" else None
        arena.run(["validate", "--data", scenario], folder)


def test_healthy_pictures_are_read(arena: Arena) -> None:
    with arena.folder() as folder:
        assert arena.run(["validate", "--data", write_tree(folder)], folder).code == 0


@pytest.mark.parametrize(("suffix", "content"), all_pictures(), ids=lambda part: part if isinstance(part, str) else "")
def test_pictures_of_every_format_and_mode(arena: Arena, suffix: str, content: bytes) -> None:
    load_with(arena, suffix, content)


@efforts
def test_mutated_pictures(arena: Arena, effort: Effort) -> None:
    inputs = st.tuples(mutated_pictures(), st.booleans())
    effort.over(inputs, lambda case: load_with(arena, *case[0], first=case[1]), examples=140)


def with_header(suffix: str, mode: str, at: int, header: bytes) -> tuple[str, bytes]:
    """A picture whose bytes from ``at`` on are ``header``."""
    content = picture(suffix, mode)
    return suffix, content[:at] + header + content[at + len(header) :]


BOMBS = {
    "a png of 2^32 pixels": with_header("png", "L", 16, b"\x00\x00\xff\xff\x00\x00\xff\xff"),
    "a ppm of 10^9 pixels": ("ppm", b"P6 31623 31623 255 "),
    "a ppm with a long number": ("ppm", b"P6 " + b"1" * 400),
    "a bmp of negative size": with_header("bmp", "RGB", 18, b"\xff" * 8),
    "a gif of 65535 squared": with_header("gif", "P", 6, b"\xff" * 4),
    "an empty file": ("png", b""),
    "a text": ("png", b"hello"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_pictures_that_claim_to_be_huge(arena: Arena, name: str) -> None:
    load_with(arena, *BOMBS[name])
    load_with(arena, *BOMBS[name], first=False)


def _two_splits(root: Path) -> None:
    (root / "train").mkdir()
    (root / "test").mkdir()


def _one_image_per_class(root: Path) -> None:
    for path in root.glob("*/[1-9].png"):
        path.unlink()


def _root_is_a_file(root: Path) -> None:
    root.rename(root.parent / "moved")
    root.write_text("x")


def _bytes(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


ODD: dict[str, Callable[[Path], object]] = {
    "a folder called like a picture": lambda root: (root / "a/x.png").mkdir(),
    "a dangling link": lambda root: (root / "a/x.png").symlink_to("nowhere"),
    "a link to itself": lambda root: (root / "a/x.png").symlink_to("x.png"),
    "a class that is a link to itself": lambda root: (root / "c").symlink_to("c"),
    "a pipe": lambda root: os.mkfifo(root / "a/x.png"),
    "a device": lambda root: (root / "a/x.png").symlink_to("/dev/zero"),
    "a class that is not UTF-8": lambda root: (root / "b").rename(_bytes(root, b"\xff\xfe")),
    "a picture that is not UTF-8": lambda root: (root / "a/0.png").rename(_bytes(root / "a", b"\xff.png")),
    "a class with control characters": lambda root: (root / "b").rename(root / "b\x1b[31m\n"),
    "an empty class": lambda root: (root / "c").mkdir(),
    "one image per class": _one_image_per_class,
    "another size": lambda root: (root / "a/0.png").write_bytes(picture("png", "RGB", side=40)),
    "no right to read": lambda root: (root / "a/0.png").chmod(0),
    "empty splits": _two_splits,
    "a file instead of the root": _root_is_a_file,
}


@pytest.mark.parametrize("size", ["8", "null"])
@pytest.mark.parametrize("how", ODD)
def test_odd_folders(arena: Arena, how: str, size: str) -> None:
    with arena.folder() as folder:
        scenario = write_tree(folder)
        ODD[how](folder / "pictures")
        arena.run(["validate", "--data", scenario, "--set", f"dataset.size={size}"], folder)
        arena.run(["doctor", scenario], folder)
