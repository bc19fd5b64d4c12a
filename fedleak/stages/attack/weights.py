"""Error of an attack's estimates of the leaked weights; stored by the attack stage, evaluated by scoring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fedleak.attacks.base import Artefact
from fedleak.errors import InputError
from fedleak.results.schema import WEIGHT_DISTANCE
from fedleak.transcript.files import save_tensors
from fedleak.transcript.reader import TranscriptReader

FILE = "snapshots.safetensors"


def save_estimates(folder: Path, artefact: Artefact | None) -> None:
    """Store the estimates made during training, if there are any, in the attack's folder."""
    (folder / FILE).unlink(missing_ok=True)
    if artefact is not None and artefact.estimates:
        save_tensors(folder / FILE, artefact.estimates)


def weight_course(folder: Path, reader: TranscriptReader) -> dict[str, list[float]]:
    """``weight_distance`` during training, for an attack that stores estimates; empty for all others.

    Raises:
        InputError: if the file with the estimates is damaged.
    """
    if not (folder / FILE).is_file() or reader.manifest.pairs is None:
        return {}
    try:
        estimates = load_file(folder / FILE)
    except (SafetensorError, OSError) as error:
        raise InputError("RUN_DIR", str(folder / FILE), f"not a safetensors file ({error})") from error
    leaked = reader.model(reader.manifest.pairs.model_versions[0])
    return {WEIGHT_DISTANCE: weight_distance(estimates, leaked)}


def weight_distance(estimates: Mapping[str, Tensor], leaked: Mapping[str, Tensor]) -> list[float]:
    """Distance of each state of the estimates from the leaked weights, relative to the norm of the leaked weights.

    ``sqrt(sum_k ||V_k - W_k||^2 / sum_k ||W_k||^2)`` over all estimated tensors (Chen & Liu 2025, arXiv 2505.20026,
    Figure 3): 0 if they are equal.

    Args:
        estimates: name -> ``(steps, *shape)``.
        leaked: name -> ``shape``.
    """
    squares = sum((values - leaked[name]).double().flatten(1).square().sum(dim=1) for name, values in estimates.items())
    size = sum(leaked[name].double().square().sum() for name in estimates)
    distances: list[float] = torch.as_tensor(squares / size).sqrt().tolist()
    return distances
