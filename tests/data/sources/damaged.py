"""Damaged image files, made deterministically from small sound ones."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 13, 9


def sound_files() -> dict[str, bytes]:
    """Name -> bytes of one small picture in many formats and modes."""
    values = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    colour, grey = Image.fromarray(values[..., :3]), Image.fromarray(values[..., 0])
    deep = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    palette = colour.quantize(16)
    return {
        "colour.png": _saved(colour, "PNG"),
        "grey.png": _saved(grey, "PNG"),
        "alpha.png": _saved(Image.fromarray(values), "PNG"),
        "deep.png": _saved(deep, "PNG"),
        "palette.png": _saved(palette, "PNG"),
        "colour.jpg": _saved(colour, "JPEG"),
        "cmyk.jpg": _saved(colour.convert("CMYK"), "JPEG"),
        "upright.jpg": _saved(colour, "JPEG", orientation=6),
        "progressive.jpg": _saved(colour, "JPEG", progressive=True),
        "colour.ppm": _saved(colour, "PPM"),
        "grey.pgm": _saved(grey, "PPM"),
        "plain.ppm": b"P3 2 2 255 " + b" ".join(b"%d" % value for value in range(0, 120, 10)),
        "plain.pgm": b"P2\n# a comment\n2 2\n1000\n0 10 500 1000\n",
        "palette.gif": _saved(palette, "GIF"),
        "raw.tiff": _saved(colour, "TIFF"),
        "lzw.tiff": _saved(colour, "TIFF", compression="tiff_lzw"),
        "deflate.tiff": _saved(deep, "TIFF", compression="tiff_adobe_deflate"),
        "colour.bmp": _saved(colour, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "lossy.webp": _saved(colour, "WEBP"),
        "lossless.webp": _saved(colour, "WEBP", lossless=True),
    }


def damaged_files(each: int) -> Iterator[tuple[str, bytes]]:
    """``each`` damaged versions of every sound file."""
    for name, content in sound_files().items():
        generator = np.random.default_rng([len(name), *name.encode()])
        for number in range(each):
            yield f"{number}-{name}", _damage(content, generator)


def _saved(image: Image.Image, form: str, *, orientation: int | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _damage(content: bytes, generator: np.random.Generator) -> bytes:
    """Cut off, overwritten, shortened or lengthened; most damage is done to the header."""
    place = int(len(content) * generator.random() ** 2)
    width = int(generator.choice([1, 2, 4, 8, 20]))
    kind = int(generator.integers(6))
    before, after = content[:place], content[place + width :]
    if kind == 0:
        return before
    if kind == 1:
        return before + after
    if kind == 2:
        return before + content[place : place + width] + content[place:]
    filler = (generator.bytes(width), b"\xff" * width, b"\x00" * width)[kind - 3]
    return before + filler + after
