"""Base class of data sets: labelled uint8 images, a training and a test split, one fixed normalisation."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from fedleak.component import Component
from fedleak.errors import InputError
from fedleak.examples import IMAGES, ExampleKind, InputShape, Normalisation, Stored, kind_of

Images = Stored
Labels = NDArray[np.int64]
HALF = 0.5
"""Mean and standard deviation of every channel by default."""
SMALLEST_DEVIATION = 1e-6
"""Half of one in 255 is 0.002; less than this overflows in half precision."""


def _in_a_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) else value


Mean = Annotated[float, Field(ge=0, le=1, strict=True)]
Deviation = Annotated[float, Field(ge=SMALLEST_DEVIATION, le=1, strict=True)]
Means = Annotated[
    tuple[Mean, ...],
    Field(min_length=1, max_length=3),
    BeforeValidator(_in_a_tuple, json_schema_input_type=Mean | tuple[Mean, ...]),
]
Deviations = Annotated[
    tuple[Deviation, ...],
    Field(min_length=1, max_length=3),
    BeforeValidator(_in_a_tuple, json_schema_input_type=Deviation | tuple[Deviation, ...]),
]


@dataclass(frozen=True)
class LabelledImages:
    """Images ``(N, C, H, W)`` uint8 in [0, 255] and labels ``(N,)`` int64."""

    images: Images
    labels: Labels

    def __post_init__(self) -> None:
        kind = kind_of(self.images.shape[1:])
        if self.images.dtype != kind.stored:
            raise ValueError(f"{kind.name}: expected {kind.stored}, got {self.images.shape} {self.images.dtype}")
        if self.labels.shape != (len(self.images),):
            raise ValueError(f"labels: expected ({len(self.images)},), got {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> LabelledImages:
        """The rows at ``indices``, copied."""
        return LabelledImages(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class DatasetSplits:
    """A loaded data set: ``train`` is divided between clients and adversary, ``test`` is used by the server."""

    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]
    normalisation: Normalisation

    @property
    def input_shape(self) -> InputShape:
        """Shape of one example, ``(C, H, W)`` of an image."""
        return self.train.images.shape[1:]


class Dataset(Component):
    """Base class of sources of labelled images, or of examples of another kind.

    Normalisation is by fixed constants for images in [0, 1]: one number, as in ``mean: 0.5``, or one per channel.
    """

    examples: ClassVar[ExampleKind] = IMAGES
    mean: Means | None = None
    """Mean subtracted from images in [0, 1] (default: 0.5 for every channel)."""
    std: Deviations | None = None
    """Standard deviation by which they are then divided (default: 0.5 for every channel)."""

    def folder(self) -> Path | None:
        """The folder on this machine that the images are read from; None if there is none."""
        root = getattr(self, "root", None)
        return root.expanduser().absolute() if isinstance(root, Path) else None

    def normalisation(self, channels: int) -> Normalisation:
        """The constants for images of ``channels`` channels.

        Raises:
            InputError: if there are neither one nor ``channels`` numbers.
        """
        return Normalisation(self._constants("mean", channels), self._constants("std", channels))

    def _constants(self, name: Literal["mean", "std"], channels: int) -> tuple[float, ...]:
        values = (self.mean if name == "mean" else self.std) or (HALF,)
        if len(values) not in (1, channels):
            raise InputError(
                f"dataset.{name}", list(values), f"expected one number, or one for each of {channels} channels"
            )
        return values * channels if len(values) == 1 else values

    @model_serializer(mode="wrap")
    def _without_unset_constants(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs recorded before there were such settings keep their fingerprint."""
        data: dict[str, Any] = handler(self)
        return {name: value for name, value in data.items() if name not in ("mean", "std") or value is not None}

    @abstractmethod
    def load(self) -> DatasetSplits:
        """Read the data.

        Raises:
            InputError: if the files are missing or unusable.
        """
