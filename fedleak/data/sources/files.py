"""Reading image files from class folders."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from fedleak.data.sources.base import Images, LabelledImages
from fedleak.data.sources.pixels import Channels, bounded_memory, read_picture
from fedleak.data.sources.resized import to_array
from fedleak.errors import InputError, listed

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".gif", ".tif", ".tiff"}
)
MEMORY_SHARE = 0.5
"""Share of the free memory that the images may fill; partitioning them among clients takes as much again."""
MOST_THREADS = 8
"""Each decodes one image at a time."""
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, surrogates (bytes that are not UTF-8), line and paragraph separators."""
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
    for name in names[:limit]:
        check_class_name(name, setting="dataset.root")
    return tuple(names[:limit])


def check_class_name(name: str, *, setting: str) -> None:
    """Check that a class name can be printed and stored.

    Raises:
        InputError: if it is empty, has control characters, or its bytes are not UTF-8.
    """
    if not name.strip():
        raise InputError(setting, name, "a class name is empty; rename the class")
    if any(unicodedata.category(character) in UNPRINTABLE for character in name):
        raise InputError(setting, name, "this class name has control characters or is not UTF-8; rename the class")


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
        return to_array(fit(read_picture(path, channels=channels, setting="dataset.root", name=str(path))))

    with bounded_memory():
        return _read(files, decode, folder)


def _read(files: Sequence[LabelledFile], decode: Callable[[Path], Images], folder: Path) -> LabelledImages:
    first = decode(files[0][0])
    if first.nbytes * len(files) > MEMORY_SHARE * psutil.virtual_memory().available:
        needed = f"{len(files)} images of {_size(first)} take {first.nbytes * len(files) / 2**30:.1f} GiB"
        raise InputError("dataset", str(folder), f"{needed}; limit dataset.classes, dataset.per_class or dataset.size")
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
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


def check_every_class(files: Sequence[LabelledFile], names: Sequence[str], *, folder: Path) -> None:
    """Check that every class has at least one of the training files.

    Raises:
        InputError: naming the classes without any.
    """
    found = {label for _, label in files}
    empty = [name for label, name in enumerate(names) if label not in found]
    if empty and files:
        known = ", ".join(sorted(SUFFIXES))
        wanted = f"there are no images of {listed(empty)} ({known}); add some or remove the class folder"
        raise InputError("dataset.root", str(folder), wanted)


def hold_out(data: LabelledImages, share: float, names: Sequence[str]) -> tuple[LabelledImages, LabelledImages]:
    """Split off the last ``share`` of every class, at least one image: the remaining data, and the held-out data.

    Raises:
        InputError: if a class has one image, which cannot be in both.
    """
    is_test = np.zeros(len(data), dtype=bool)
    present, counts = np.unique(data.labels, return_counts=True)
    small = [names[label] for label in present[counts < 2]]
    if small:
        raise InputError(
            "dataset.test_fraction",
            share,
            f"there is only one image of {listed(small)}, so none can be held out for testing: add images, leave these "
            "classes out, or give test images of their own (ROOT/train/CLASS and ROOT/test/CLASS)",
        )
    for label in present:
        members = np.flatnonzero(data.labels == label)
        held = min(len(members) - 1, max(1, round(share * len(members))))
        is_test[members[len(members) - held :]] = True
    return data.take(np.flatnonzero(~is_test)), data.take(np.flatnonzero(is_test))
