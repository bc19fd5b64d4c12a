"""The one place where image files become stored pixels: 8 bits per channel, opaque, upright, one frame."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps

from fedleak.errors import InputError
from fedleak.examples import LARGEST

Channels = Literal[1, 3]
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "GIF", "TIFF")
"""Formats that are opened, whatever a file is called: some of Pillow's others start programs (EPS) or fetch files."""
LARGEST_PICTURE = 2**26
"""Most pixels of one file, about 8192x8192."""
LARGE_PICTURE = 2**23
_LARGE = threading.Lock()
"""Held while a picture of more than ``LARGE_PICTURE`` pixels is decoded, so that memory holds one of them at a time."""
EIGHT_BITS = frozenset({"1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
UNREADABLE = (
    OSError,  # truncated files, and Pillow's UnidentifiedImageError
    SyntaxError,  # broken PNG and TIFF
    ValueError,  # among others PPM's "Token too long"
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    MemoryError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
)
"""What Pillow raises for damaged files; a fuzzed corpus in its tests has met most of them."""


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Make Pillow's warning about gigantic images an error; for the thread that starts the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_picture(source: Path | BinaryIO, *, channels: Channels, setting: str, name: str) -> Image.Image:
    """Decode one image to 8-bit grey (mode L) or colour (RGB).

    Values are scaled by the range of their type, 65535 for 16 bits; where it has none the file is refused. Transparent
    pixels are blended with white, and the EXIF orientation is applied, as browsers do. Colour profiles are ignored.

    Args:
        source: a path or an open file.
        channels: of the result.
        setting, name: the setting and the file that an error message names.

    Raises:
        InputError: if it is damaged, gigantic, has several frames, or a pixel format without a defined range.
    """
    if isinstance(source, Path) and not source.is_file():
        raise InputError(setting, name, "it is not a regular file")
    Image.init()  # all plugins, which a restricted list of formats does not load
    try:
        with Image.open(source, formats=FORMATS) as file:
            refusal = _objection(file)
            with _LARGE if file.width * file.height > LARGE_PICTURE else nullcontext():
                picture = None if refusal else _upright(file, channels)
    except UNREADABLE as error:
        raise InputError(setting, name, f"not a readable image ({_reason(error)})") from error
    if picture is None:
        raise InputError(setting, name, f"{refusal}; convert the file to 8 or 16 bits per channel, or remove it")
    return picture


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__


def _objection(file: Image.Image) -> str | None:
    """Why an opened image, whose pixels have not been decoded, has no defined value."""
    if file.width * file.height > LARGEST_PICTURE:
        return f"{file.width}x{file.height} is too large: at most {LARGEST_PICTURE} pixels"
    frames = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)  # MPO: a photograph and its previews
    if frames > 1:
        return f"it has {frames} frames, and a data set needs one image per file"
    if file.mode in SIXTEEN_BITS:
        return _objection_to_sixteen_bits(file)
    if file.mode in EIGHT_BITS or _is_portable_grey(file):
        return None
    return f"its pixels ({file.format}, mode {file.mode}) have no defined largest value"


def _objection_to_sixteen_bits(file: Image.Image) -> str | None:
    if "transparency" in file.info:
        return f"its pixels ({file.format}, mode {file.mode}) have 16 bits and a transparent value"
    if _tag(file, PHOTOMETRIC, default=1) == WHITE_IS_ZERO:
        return f"its pixels ({file.format}, mode {file.mode}) have 16 bits and 0 stands for white"
    return None


def _upright(file: Image.Image, channels: Channels) -> Image.Image:
    file.load()
    ImageOps.exif_transpose(file, in_place=True)
    image: Image.Image = file
    if file.mode in SIXTEEN_BITS or _is_portable_grey(file):
        image = _scaled(file, largest=2 ** _tag(file, BITS_PER_SAMPLE, default=16) - 1)
    elif file.has_transparency_data:
        colours = (file.convert("LA") if file.mode == "La" else file).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return image.convert("RGB" if channels == 3 else "L")


def _is_portable_grey(file: Image.Image) -> bool:
    """A PGM of more than 8 bits: Pillow scales it by its own largest value to 65535, in mode I."""
    return file.format == "PPM" and file.mode == "I"


def _tag(file: Image.Image, tag: int, *, default: int) -> int:
    """An integer of a TIFF's header; ``default`` for other formats."""
    value = getattr(file, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _scaled(image: Image.Image, *, largest: int) -> Image.Image:
    """Values in [0, ``largest``], rounded to 8 bits."""
    rounded = ((np.arange(largest + 1) * LARGEST + largest // 2) // largest).astype(np.uint8)
    return Image.fromarray(rounded[np.asarray(image).clip(0, largest)])
