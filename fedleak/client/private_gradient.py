"""Example-level differential privacy: clipped per-example gradients plus Gaussian noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedleak.client.dp_sgd import DpSgd
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.client.postprocess.tensors import normal_like
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION


def private_gradient(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    settings: DpSgd,
    generator: torch.Generator,
    task: LearningTask = CLASSIFICATION,
    expected: int | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """The noisy mean of clipped per-example gradients (Abadi et al. 2016, arXiv 1607.00133, algorithm 1).

    Args:
        model: a model without layers that mix examples, such as batch statistics; not changed.
        images: normalised, ``(M, C, H, W)``; a Poisson-sampled batch may be empty.
        targets: targets of the images, ``(M, ...)``, as the loss of the task takes them.
        settings: clipping bound and noise.
        generator: random generator of the noise.
        task: the learning task.
        expected: expected number of images of a Poisson-sampled batch, by which the sum is divided instead of ``M``.

    Returns:
        Name -> ``(sum of clipped gradients + N(0, (noise_multiplier * max_norm)^2)) / M``, and the mean loss (NaN
        without images).
    """
    spread, count = settings.noise_multiplier * settings.max_norm, expected or len(images)
    if not len(images):
        still = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        quiet = {name: spread * normal_like(p, generator) / count for name, p in still.items()}
        return quiet, images.new_full((), torch.nan)
    training = LocalTraining("fedsgd", batch_size=1, epochs=1, learning_rate=1.0, train_mode=False, task=task)
    single = compute_updates(model, images.unsqueeze(1), targets.unsqueeze(1), training, seed=0)
    each = {n: t if t.dtype == torch.float64 else t.float() for n, t in single.tensors.items()}  # half is too coarse
    norms = torch.stack([t.reshape(len(t), -1).norm(dim=1) for t in each.values()]).norm(dim=0)
    factors = settings.max_norm / norms.clamp(min=settings.max_norm)  # at most one
    result = {}
    for name, gradients in each.items():
        total = torch.tensordot(factors, gradients, dims=1)
        result[name] = (total + spread * normal_like(total, generator)) / count
    return result, single.losses.float().mean()
