"""GIT in closed form: for each class of the output error, the image is a linear function of the gradient."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import groupby
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.base import Artefact, Reconstruction, TrainedAttack
from fedleak.attacks.generative import ridge
from fedleak.attacks.generative.features import GradientFeatures, OutputLayer, chunks, layer_columns
from fedleak.attacks.generative.versions import VersionedFeatures, fit_versions, restore_versions
from fedleak.errors import AttackFailedError
from fedleak.progress import Progress
from fedleak.threat import InjectedPairs, SharedUpdate
from fedleak.transcript.layout import Layout, Slot

Weighting = Literal["layer", "value"]
Strength = Annotated[float, Field(ge=0, le=limits.RATE)]
GROUPED = tuple(field.name for field in fields(ridge.Grouped))


@dataclass(frozen=True)
class RidgeInverter:
    """A solved attack.

    Attributes:
        reader: maps updates to features and classes.
        features: statistics of each model version.
        grouped: the adversary's pairs, grouped by class.
        solution: their coefficients.
        shape: of an image, ``(C, H, W)``.
    """

    reader: UpdateReader
    features: VersionedFeatures
    grouped: ridge.Grouped
    solution: ridge.Solution
    shape: tuple[int, ...]


class GitRidge(TrainedAttack[RidgeInverter]):
    """Ridge GIT: one linear inversion for each class of the output error (ours, after arXiv 2505.20026, Eq. 3).

    The exact recursion starts at ``d = dL/db_L``, and the divisor of every gradient follows from ``d`` and the
    activations. For one image, ``d`` points against the label and varies little within a class as long as the leaked
    model is uncertain; then ``G_{W_i} = d_i a_{i-1}^T`` is linear in ``a_{i-1}`` and, if the activation functions are
    nearly linear, in the image. So the pairs of a class determine its inversion by kernel ridge regression, without
    gradient descent. Regularisation and sharing between classes are chosen by the lowest leave-one-out error on the
    adversary's pairs. Needs no architecture: the class is the row of the last weight's gradient with the largest norm,
    which for one image is the label. For a class without pairs, the attack returns the mean of all images.

    Fails on batches, in whose update no single class can be read, on updates unlike its pairs, and where the map from
    update to image is far from linear, as with ReLU.
    """

    kind: Literal["git_ridge"] = "git_ridge"
    regularisation: tuple[Strength, ...] = Field(default=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), min_length=1)
    """Candidates, in units of the kernel's mean diagonal."""
    sharing: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(default=(0.0, 0.2), min_length=1)
    """Candidates for the similarity of different classes; 0 solves every class separately."""
    largest_joint: int = Field(default=12_000, ge=2, le=limits.PARAMETERS)
    """Largest number of pairs solved jointly, because time grows with its cube. With more pairs, classes share nothing;
    one class with more pairs is an error."""
    weighting: Weighting = "layer"
    """Equal weight in the kernel for every layer, or for every value of the update."""
    max_layer_features: int = Field(default=4096, ge=16, le=limits.PARAMETERS)
    """Wider layers are reduced to this many features by feature hashing; more features preserve the kernel better."""

    def fit(
        self,
        pairs: InjectedPairs,
        *,
        generator: torch.Generator,
        progress: Progress,
        device: torch.device,
    ) -> Artefact:
        """Solve for the coefficients of all pairs.

        Raises:
            AttackFailedError: if the pairs hold more than one image each, or a class has too many pairs.
        """
        if pairs.index.shape[1] != 1:
            raise AttackFailedError(f"git_ridge needs one image per update, the pairs hold {pairs.index.shape[1]}")
        reader = self._reader(pairs.layout)
        rows = np.arange(len(pairs))
        features = fit_versions(pairs, rows, reader.unfitted)
        table = torch.empty(len(pairs), reader.unfitted.size, dtype=torch.float16)
        groups = torch.empty(len(pairs), dtype=torch.int64)
        for part in chunks(rows, pairs.layout.size):
            updates = pairs.read_updates(part)
            table[part] = features(updates, pairs.versions(part)).to(table.dtype)
            groups[part] = reader.classes_of(updates)
        self._check_sizes(groups)
        targets = pairs.read_images(rows).flatten(1).to(device)
        grouped = ridge.Grouped.of(
            table.to(device), targets, groups.to(device), reader.weights.to(device), count=reader.output.shape[0]
        )
        outcome = ridge.solve(
            grouped,
            targets,
            regularisation=self.regularisation,
            sharing=self.sharing if len(pairs) <= self.largest_joint else (),
            progress=progress,
            name=self.name,
        )
        return _artefact(pairs, features, grouped, outcome)

    def restore(self, artefact: Artefact, pairs: InjectedPairs, *, device: torch.device) -> RidgeInverter:
        """Build the inverter from the solved coefficients."""
        tensors = {name: tensor.to(device) for name, tensor in artefact.parameters.items()}
        reader = self._reader(pairs.layout)
        return RidgeInverter(
            reader,
            restore_versions(reader.unfitted, artefact.by_version),
            ridge.Grouped(**{field: tensors[field] for field in GROUPED}),
            ridge.Solution(
                tensors["coefficients"],
                tensors["pooled"],
                float(artefact.facts["regularisation"]),
                float(artefact.facts["sharing"]),
            ),
            tuple(artefact.facts["shape"]),
        )

    def reconstruct(
        self, trained: RidgeInverter, update: SharedUpdate, *, generator: torch.Generator
    ) -> Reconstruction:
        """Predict the image from the kernel products with the pairs of the update's class.

        Raises:
            AttackFailedError: if the update is known to come from more than one image.
        """
        if update.samples not in (None, 1):
            raise AttackFailedError(f"the update comes from {update.samples} images, git_ridge reconstructs one")
        flat = update.flat()[None]
        features = trained.features.of(update.model_version)(flat)
        group = int(trained.reader.classes_of(flat)[0])
        image = trained.grouped.predict(trained.solution, features[0], group)
        return Reconstruction(images=image.clamp(0, 1).reshape(1, *trained.shape).cpu())

    def _reader(self, layout: Layout) -> UpdateReader:
        return UpdateReader.of(layout, max_width=self.max_layer_features, weighting=self.weighting)

    def _check_sizes(self, groups: Tensor) -> None:
        largest = int(torch.bincount(groups).max())
        if largest > self.largest_joint:
            raise AttackFailedError(
                f"one class has {largest} pairs, more than largest_joint = {self.largest_joint}; use git_spatial"
            )


@dataclass(frozen=True)
class UpdateReader:
    """Map from a flat update to features and a class.

    Attributes:
        unfitted: layout of the features, without statistics.
        weights: of each feature in the kernel, in standard deviations.
        output: columns of the last weight, and its shape ``(classes, inputs)``.
    """

    unfitted: GradientFeatures
    weights: Tensor
    output: Slot

    @classmethod
    def of(cls, layout: Layout, *, max_width: int, weighting: Weighting = "layer") -> UpdateReader:
        """Find the layers by the names of their parameters; the last layer must be linear.

        Raises:
            AttackFailedError: if the last layer is not linear.
        """
        *_, last = (slot for slot in layout.slots if len(slot.shape) > 1)
        following = layout.slots[layout.slots.index(last) + 1 :]
        if len(last.shape) != 2 or len(following) > 1 or any(slot.shape != last.shape[:1] for slot in following):
            raise AttackFailedError("the update does not end with the gradient of a linear layer")
        bias = (following[0].start, following[0].stop) if following else None
        modules = groupby(layout.slots, key=lambda slot: slot.name.rpartition(".")[0])
        layers = [[slot.name for slot in slots] for _, slots in modules]
        output = None
        if bias is not None:  # the closed-form input carries the same information as the last gradient
            output = OutputLayer(weight=(last.start, last.stop), bias=bias)
            layers = layers[:-1]
        columns = layer_columns(layout, layers, max_width=max_width, seed=0)
        unfitted = GradientFeatures(columns, bias, output)
        widths = [*unfitted.widths, *([output.inputs] if output else [])]
        shares = [width if weighting == "layer" else sum(widths) for width in widths]
        weights = torch.cat([torch.full((width,), share**-0.5) for width, share in zip(widths, shares, strict=True)])
        return cls(unfitted, weights, last)

    def classes_of(self, updates: Tensor) -> Tensor:
        """Index of the row of the last weight's gradient with the largest norm, ``(n,)``.

        For one image, row ``k`` is proportional to entry ``k`` of the error ``p - y``. The entries sum to zero and only
        the entry of the label is negative, so it is as large as all others together. The sign and scale of the update
        do not matter.
        """
        rows = updates[:, self.output.start : self.output.stop].reshape(len(updates), *self.output.shape)
        norms: Tensor = torch.linalg.vector_norm(rows, dim=2)
        return norms.argmax(dim=1)


def _artefact(
    pairs: InjectedPairs, features: VersionedFeatures, grouped: ridge.Grouped, outcome: ridge.ScoredSolution
) -> Artefact:
    solution = outcome.solution
    tensors = {field: getattr(grouped, field) for field in GROUPED}
    tensors |= {"coefficients": solution.coefficients, "pooled": solution.pooled}
    return Artefact(
        parameters={name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        parameter_count=solution.coefficients.numel(),
        by_version=features.statistics(),
        facts={
            "features": grouped.features.shape[1],
            "pairs": len(pairs),
            "regularisation": solution.regularisation,
            "sharing": solution.sharing,
            "leave_one_out": outcome.error,
            "shape": list(pairs.images.shape[1:]),
        },
    )
