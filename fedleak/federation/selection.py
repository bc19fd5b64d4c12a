"""Order in which a client uses its images when it selects them by gradient norm."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.data.sources.base import LabelledImages
from fedleak.examples import Normalisation, to_unit
from fedleak.tasks.base import LearningTask

AT_ONCE = 64
"""Number of images whose gradients are in memory at a time."""


def largest_gradients_first(
    model: nn.Module, data: LabelledImages, normalisation: Normalisation, *, task: LearningTask, classes: int
) -> NDArray[np.int64]:
    """Indices into ``data``: the image with the largest gradient of each class, then the second of each, and so on.

    The first image of every class is the vulnerable population of GradInversion (Yin et al. 2021, arXiv 2104.07586,
    section 4.3). Images of equal rank are sorted by gradient norm, largest first.
    """
    norms = gradient_norms(model, data, normalisation, task=task, classes=classes)
    turns = np.empty(len(data), dtype=np.int64)
    for label in np.unique(data.labels):
        own = np.flatnonzero(data.labels == label)
        turns[own[np.argsort(-norms[own], kind="stable")]] = np.arange(len(own))
    return np.lexsort((-norms, turns)).astype(np.int64)


def gradient_norms(
    model: nn.Module, data: LabelledImages, normalisation: Normalisation, *, task: LearningTask, classes: int
) -> NDArray[np.float64]:
    """Euclidean norm of the gradient of each image's own loss, ``(N,)``, in evaluation mode."""
    training = LocalTraining("fedsgd", batch_size=1, epochs=1, learning_rate=1.0, train_mode=False, task=task)
    norms = []
    for start in range(0, len(data), AT_ONCE):
        images = normalisation.apply(to_unit(data.images[start : start + AT_ONCE]))
        targets = task.targets(torch.from_numpy(data.labels[start : start + AT_ONCE]), classes)
        gradients = compute_updates(model, images[:, None], targets[:, None], training, seed=0)
        norms.append(
            torch.stack([g.reshape(len(g), -1).square().sum(dim=1) for g in gradients.tensors.values()]).sum(0).sqrt()
        )
    return torch.cat(norms).double().numpy()
