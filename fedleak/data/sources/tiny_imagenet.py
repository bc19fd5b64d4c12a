"""The Tiny ImageNet data set, as distributed or rearranged into class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.data.sources.files import (
    LabelledFile,
    check_every_class,
    class_names,
    existing_folder,
    pictures,
    read_files,
)
from fedleak.data.sources.resized import ResizedDataset
from fedleak.errors import InputError

ANNOTATIONS = "val_annotations.txt"


class TinyImageNet(ResizedDataset):
    """Tiny ImageNet, 200 classes of 500 + 50 colour images of 64x64 (Le & Yang 2015); classes are WordNet ids.

    Training images are in ROOT/train/WNID/images, test images in ROOT/val/images, and the classes of the latter in
    ROOT/val/val_annotations.txt. ROOT/train/WNID and ROOT/val/WNID are also accepted.
    """

    kind: Literal["tiny_imagenet"] = "tiny_imagenet"
    root: Path
    """The folder ``tiny-imagenet-200``; ``~`` is expanded."""
    classes: int | None = Field(default=None, ge=2, le=limits.CLASSES)
    """Use only the first ``classes`` classes, sorted by WordNet id (default: all)."""
    per_class: int | None = Field(default=None, ge=1, le=limits.IMAGES)
    """Use only the first ``per_class`` images of each class in each split (default: all)."""

    def load(self) -> DatasetSplits:
        """Read both splits; ``val`` is the test split, because ``test`` has no labels."""
        root = existing_folder(self.root)
        train, val = existing_folder(root / "train"), existing_folder(root / "val")
        names = class_names(train, limit=self.classes)
        by_class = _annotated(val) if (val / ANNOTATIONS).is_file() else _in_folders(val, names)
        return DatasetSplits(
            train=self._read(train, _in_folders(train, names), names, every_class=True),
            test=self._read(val, by_class, names),
            class_names=names,
            normalisation=self.normalisation(3),
        )

    def _read(
        self, folder: Path, by_class: dict[str, list[Path]], names: tuple[str, ...], *, every_class: bool = False
    ) -> LabelledImages:
        files: list[LabelledFile] = [
            (path, label) for label, name in enumerate(names) for path in by_class.get(name, [])[: self.per_class]
        ]
        if every_class:
            check_every_class(files, names, folder=folder)
        return read_files(files, folder=folder, channels=3, fit=self.fit)


def _in_folders(folder: Path, names: tuple[str, ...]) -> dict[str, list[Path]]:
    """WordNet id -> files, in FOLDER/WNID/images or FOLDER/WNID."""
    inner = {name: folder / name / "images" for name in names}
    return {name: pictures(path if path.is_dir() else path.parent) for name, path in inner.items()}


def _annotated(val: Path) -> dict[str, list[Path]]:
    """WordNet id -> files, from the lines ``FILE WNID X0 Y0 X1 Y1`` of the annotations.

    Raises:
        InputError: if it is not a text, a line has another form, or one names a file in another folder.
    """
    by_class: dict[str, list[Path]] = {}
    try:
        text = (val / ANNOTATIONS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("dataset.root", str(val / ANNOTATIONS), f"it cannot be read as text ({error})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if len(fields) < 2 or Path(fields[0]).name != fields[0]:
            wanted = f"line {number} should be a plain file name and a WordNet id, not {line!r}"
            raise InputError("dataset.root", str(val / ANNOTATIONS), wanted)
        by_class.setdefault(fields[1], []).append(val / "images" / fields[0])
    return by_class
