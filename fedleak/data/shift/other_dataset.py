"""Public images of one data set, private images of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from fedleak.component import choice
from fedleak.data.shift.base import Shift, draw_public
from fedleak.data.sources.base import Dataset, DatasetSplits, LabelledImages
from fedleak.errors import InputError

if TYPE_CHECKING:
    DatasetChoice: TypeAlias = Dataset
else:
    DatasetChoice = choice(Dataset, "fedleak.data.sources")


class OtherDataset(Shift):
    """Clients hold the training images of another data set (Chen & Liu 2025, arXiv 2505.20026, section 5.2.2).

    The scenario's own data set is the public one; the global model is evaluated on its test split. As in the
    out-of-distribution attacks of Du et al. 2024 (arXiv 2404.05403, section 4.2.2), all images have one shape, and the
    private labels are classes of the model.
    """

    kind: Literal["other_dataset"] = "other_dataset"
    dataset: DatasetChoice
    """Data set of the private images."""

    @model_validator(mode="after")
    def _is_normalised_as_the_public_images(self) -> Self:
        if self.dataset.mean is not None or self.dataset.std is not None:
            raise ValueError("its images are normalised as the public ones: set mean and std of the scenario's dataset")
        return self

    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """All images of the scenario's data set may be public, none may be private."""
        return np.ones(len(labels), dtype=bool), np.zeros(len(labels), dtype=bool)

    def private_source(self, own: Dataset) -> Dataset:
        """The other data set."""
        return self.dataset

    def deal(
        self, splits: DatasetSplits, *, public: int, generator: np.random.Generator
    ) -> tuple[LabelledImages, LabelledImages]:
        """Public images of the scenario's data set, and all training images of the other one.

        Raises:
            InputError: if their image shapes differ, or the other data set has more classes.
        """
        try:
            other = self.dataset.load()
        except InputError as error:
            raise InputError(f"adversary.shift.{error.path}", error.value, error.allowed) from error
        if other.input_shape != splits.input_shape:
            wanted = f"images of {splits.input_shape} (channels, height, width), set size and channels to match"
            raise InputError("adversary.shift.dataset", other.input_shape, wanted)
        if len(other.class_names) > len(splits.class_names):
            raise InputError(
                "adversary.shift.dataset",
                self.dataset.kind,
                f"it has {len(other.class_names)} classes, the public data set and the model only "
                f"{len(splits.class_names)}",
            )
        may_be_public, _ = self.eligible(splits.train.labels)
        return splits.train.take(draw_public(may_be_public, public, generator)), other.train
