"""Distance between the magnitude spectra of images."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fedleak.metrics.base import Metric


class Fft2d(Metric):
    """One minus the cosine similarity of the 2-D spectrum's magnitudes (after Yin et al. 2021, arXiv 2104.07586).

    Magnitudes are invariant to circular shifts: a shifted copy scores as well as an exact copy, and so does a darker
    one.
    """

    kind: Literal["fft_2d"] = "fft_2d"
    higher_is_better: ClassVar[bool] = False

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` in [0, 1], 0 is perfect."""
        first, second = _spectrum(reconstruction), _spectrum(truth)
        lengths = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
        similarity: torch.Tensor = (first * second).sum(dim=1) / lengths.clamp(min=1e-12)
        return (1 - similarity).clamp(0, 1).to(reconstruction.dtype)


def _spectrum(images: torch.Tensor) -> torch.Tensor:
    """Flattened magnitudes of each image's spectrum, in double precision."""
    magnitudes: torch.Tensor = torch.fft.fft2(images.double()).abs().flatten(1)
    return magnitudes
