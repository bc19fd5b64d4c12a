"""Features with separate statistics for every model version.

One step of the server shifts the gradients of all samples together, by many standard deviations if a network
saturates. The adversary knows the version of every update and of every pair, so it standardises each update with its
own pairs of the same version, or if it has none, with those of the latest version before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedleak.attacks.generative.features import GradientFeatures, fit_features
from fedleak.threat import InjectedPairs


@dataclass(frozen=True)
class VersionedFeatures:
    """Maps from a flat update to a generator's input, by model version.

    Attributes:
        by_version: model version -> map; same layout, separate statistics; at least one version.
    """

    by_version: Mapping[int, GradientFeatures]

    def of(self, version: int) -> GradientFeatures:
        """The map of ``version``, or of the latest version before it, or of the earliest version."""
        known = sorted(self.by_version)
        return self.by_version[max((v for v in known if v <= version), default=known[0])]

    def __call__(self, updates: Tensor, versions: NDArray[np.int64]) -> Tensor:
        """Flat updates ``(n, D)`` of ``versions`` ``(n,)`` -> standardised features ``(n, size)``."""
        result = torch.empty(len(updates), self.of(0).size, device=updates.device)
        for version in np.unique(versions):
            rows = torch.from_numpy(np.flatnonzero(versions == version)).to(updates.device)
            result[rows] = self.of(int(version))(updates[rows])
        return result

    def statistics(self) -> dict[int, dict[str, Tensor]]:
        """Statistics of each version, from which the maps can be restored."""
        return {version: {"mean": f.mean, "std": f.std} for version, f in self.by_version.items()}


def fit_versions(pairs: InjectedPairs, rows: NDArray[np.int64], unfitted: GradientFeatures) -> VersionedFeatures:
    """Maps with statistics of the training pairs ``rows``, separate for each model version."""
    versions = pairs.versions(rows)
    return VersionedFeatures(
        {int(version): fit_features(pairs, rows[versions == version], unfitted) for version in np.unique(versions)}
    )


def restore_versions(unfitted: GradientFeatures, statistics: Mapping[int, Mapping[str, Tensor]]) -> VersionedFeatures:
    """The maps with the ``statistics`` of each version."""
    return VersionedFeatures(
        {version: replace(unfitted, mean=kept["mean"], std=kept["std"]) for version, kept in statistics.items()}
    )
