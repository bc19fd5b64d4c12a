"""IIP, image identifiability precision."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.examples import InputShape
from fedleak.metrics.base import PeerMetric, Peers
from fedleak.metrics.features import Extractor, FeatureSettings, extractor


class Iip(PeerMetric):
    """1 if the nearest neighbour of a reconstruction among all peers is its original, else 0.

    The mean is GradInversion's image identifiability precision (Yin et al. 2021, arXiv 2104.07586, section 4.3): cosine
    similarity of average-pooled features. Peers are the images of all clients.
    """

    kind: Literal["iip"] = "iip"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    features: FeatureSettings = FeatureSettings()
    peers: int = Field(default=2000, ge=1, le=limits.IMAGES)
    """Largest number of peers besides the original, taken from all clients in turn."""

    def evaluate_among(self, reconstruction: Tensor, truth: Tensor, peers: Peers) -> Tensor:
        """``(N,)`` of zeros and ones.

        Raises:
            MetricUnavailableError: if the features need weights that are not available.
        """
        features, images, others = _prepared(self.features, peers, self.peers)
        guesses, originals = (F.normalize(features(batch.float()), dim=1) for batch in (reconstruction, truth))
        own = (guesses * originals).sum(dim=1)
        similarity = guesses @ others.T
        copies = same_image(truth, images)  # the original does not compete with itself
        nearest = similarity.masked_fill(copies, -torch.inf).amax(dim=1)
        return (own > nearest).to(reconstruction.dtype)

    def note(self, shape: InputShape) -> str:
        """The features that were compared."""
        return f"iip: nearest neighbours by {self.features.describe()}"


@lru_cache(maxsize=1)
def _prepared(settings: FeatureSettings, peers: Peers, limit: int) -> tuple[Extractor, Tensor, Tensor]:
    """Extractor, the first peers and their normalised features; cached for all attacks of a run."""
    few = Peers(peers.images[:limit].float(), peers.labels[:limit])
    features = extractor(settings, few)
    return features, few.images, F.normalize(features(few.images), dim=1)


def same_image(first: Tensor, second: Tensor) -> Tensor:
    """Mask ``(N, M)`` of the images ``(N, ...)`` and ``(M, ...)`` that are equal up to rounding."""
    return torch.cdist(first.flatten(1).double(), second.flatten(1).double()) < 1e-4
