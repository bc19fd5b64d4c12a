"""Reading image files from class folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
from PIL import Image

from fedleak.data.sources.base import Images, LabelledImages
from fedleak.data.sources.resized import to_array
from fedleak.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".gif", ".tif", ".tiff"})
MEMORY_SHARE = 0.5
"""Share of the free memory that the images may fill; partitioning them among clients takes as much again."""
Channels = Literal[1, 3]
Fit = Callable[[Image.Image], Image.Image]
LabelledFile = tuple[Path, int]


def existing_folder(root: Path) -> Path:
    """``root`` with ``~`` expanded.

    Raises:
        InputError: if there is no such folder.
    """
    folder = root.expanduser()
    if not folder.is_dir():
        raise InputError("dataset.root", str(folder), "there is no such folder")
    return folder


def class_names(folder: Path, *, limit: int | None = None) -> tuple[str, ...]:
    """Names of the class folders below ``folder``, sorted, the first ``limit`` of them.

    Raises:
        InputError: if there are fewer than two class folders.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < 2:
        raise InputError("dataset.root", str(folder), f"it needs at least two class folders, found {len(names)}")
    return tuple(names[:limit])


def pictures(folder: Path) -> list[Path]:
    """Image files in a folder, sorted by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)


def labelled_files(folder: Path, names: Sequence[str], *, limit: int | None = None) -> list[LabelledFile]:
    """The first ``limit`` images of each class folder; a label is an index into ``names``."""
    return [(path, label) for label, name in enumerate(names) for path in pictures(folder / name)[:limit]]


def read_files(files: Sequence[LabelledFile], *, folder: Path, channels: Channels, fit: Fit) -> LabelledImages:
    """Decode images, convert them to grey or colour, crop and resize.

    Args:
        files: images with their labels.
        folder: folder named in the error message if there are no files.
        fit: crops and resizes one image.

    Raises:
        InputError: if there are no files, one is damaged, they differ in size, or they do not fit into memory.
    """
    if not files:
        raise InputError("dataset.root", str(folder), "its class folders contain no images")

    def decode(path: Path) -> Images:
        return _decode(path, channels, fit)

    first = decode(files[0][0])
    if first.nbytes * len(files) > MEMORY_SHARE * psutil.virtual_memory().available:
        needed = f"{len(files)} images of {_size(first)} take {first.nbytes * len(files) / 2**30:.1f} GiB"
        raise InputError("dataset", str(folder), f"{needed}; limit dataset.classes, dataset.per_class or dataset.size")
    with ThreadPoolExecutor() as pool:
        images = np.empty((len(files), *first.shape), dtype=np.uint8)
        for i, image in enumerate(_of_one_size(pool.map(decode, (path for path, _ in files)), first)):
            images[i] = image
    return LabelledImages(images, np.array([label for _, label in files], dtype=np.int64))


def _of_one_size(images: Iterator[Images], first: Images) -> Iterator[Images]:
    for image in images:
        if image.shape != first.shape:
            sizes = f"{_size(first)} and {_size(image)}"
            raise InputError("dataset.size", None, f"the images differ in size ({sizes}); give a size to resize to")
        yield image


def _size(image: Images) -> str:
    return f"{image.shape[1]}x{image.shape[2]}"


def _decode(path: Path, channels: Channels, fit: Fit) -> Images:
    try:
        with Image.open(path) as file:
            image = file.convert("RGB" if channels == 3 else "L")
    except OSError as error:
        raise InputError("dataset.root", str(path), f"not a readable image ({error})") from error
    return to_array(fit(image))


def hold_out(data: LabelledImages, share: float) -> tuple[LabelledImages, LabelledImages]:
    """Split off the last ``share`` of every class: the remaining data, and the held-out data."""
    is_test = np.zeros(len(data), dtype=bool)
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label)
        is_test[members[len(members) - max(1, round(share * len(members))) :]] = True
    return data.take(np.flatnonzero(~is_test)), data.take(np.flatnonzero(is_test))
