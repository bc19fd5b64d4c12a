"""The Japanese Female Facial Expression (JAFFE) data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from fedleak.data.sources.base import DatasetSplits
from fedleak.data.sources.fer2013 import EMOTIONS
from fedleak.data.sources.files import existing_folder, hold_out, pictures, read_files
from fedleak.data.sources.resized import ResizedDataset
from fedleak.errors import InputError

CODES = {"AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "SA": "sad", "SU": "surprise", "NE": "neutral"}
NAME = re.compile(rf"[A-Z]{{2}}\.({'|'.join(CODES)})\d*\.\d+")
"""File name such as ``KA.AN1.39``: person, expression, number."""


class Jaffe(ResizedDataset):
    """JAFFE, 213 grey faces of 256x256, ten women and seven expressions (Lyons et al. 1998).

    One folder of files such as KA.AN1.39.tiff, whose names encode the expression. Labels are those of FER2013, so that
    one data set can be public and the other private.
    """

    kind: Literal["jaffe"] = "jaffe"
    root: Path
    """The folder; ``~`` is expanded."""
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of every expression used as the test split."""

    def load(self) -> DatasetSplits:
        """Read all files, sorted by name and so by person."""
        root = existing_folder(self.root)
        files = [(path, EMOTIONS.index(CODES[_expression(path)])) for path in pictures(root)]
        everything = read_files(files, folder=root, channels=1, fit=self.fit)
        train, test = hold_out(everything, self.test_fraction, EMOTIONS)
        return DatasetSplits(train, test, EMOTIONS, self.normalisation(1))


def _expression(path: Path) -> str:
    found = NAME.fullmatch(path.stem)
    if found is None:
        raise InputError("dataset.root", str(path), "expected a name like KA.AN1.39.tiff, which encodes the expression")
    return found[1]
