"""Benchmark of input-update pairs: vectorised against one by one, and 10,000 through Flower."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from fedleak.bench.base import Measured, lenet_scenario, stopwatch
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.models.lenet import LeNet
from fedleak.pipeline import federate_scenario
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.memory import PeakMemory
from fedleak.transcript.layout import Layout

COMPARED = 2000
GATHERED = 10_000
REPEATS = 3
AT_ONCE = 250
"""Pairs in one call, about as many as an injected message holds."""


def measure(progress: Progress) -> Measured:
    """``speedup`` over a per-sample autograd loop; ``flower_seconds`` and driver memory for 10,000 pairs."""
    return {**_compare(), **_gather(progress)}


def _compare() -> Measured:
    model = LeNet().build((3, 32, 32), 10, seed=0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(COMPARED, 1, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (COMPARED, 1), generator=generator)
    training = LocalTraining("fedsgd", batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)
    compute_updates(model, images[:AT_ONCE], labels[:AT_ONCE], training, seed=0)  # warm up
    loop_seconds, vectorised_seconds = [], []
    rows = torch.zeros(COMPARED, Layout.of(model.named_parameters()).size)  # both variants fill the same matrix
    for _ in range(REPEATS):
        with stopwatch() as loop:
            for i in range(COMPARED):
                rows[i] = _one_by_one(model, images[i], labels[i])
        with stopwatch() as vectorised:
            for start in range(0, COMPARED, AT_ONCE):
                some = slice(start, start + AT_ONCE)
                updates = compute_updates(model, images[some], labels[some], training, seed=0)
                torch.cat([tensor.flatten(1) for tensor in updates.tensors.values()], dim=1, out=rows[some])
        loop_seconds.append(loop.seconds)
        vectorised_seconds.append(vectorised.seconds)
    return {
        "loop_us_per_pair": 1e6 * min(loop_seconds) / COMPARED,
        "vectorised_us_per_pair": 1e6 * min(vectorised_seconds) / COMPARED,
        "speedup": min(loop_seconds) / min(vectorised_seconds),
    }


def _one_by_one(model: torch.nn.Module, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    gradients = torch.autograd.grad(F.cross_entropy(model(image), label), list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def _gather(progress: Progress) -> Measured:
    scenario = lenet_scenario(
        images=GATHERED + 100,
        federation={"clients": 2, "rounds": 1},
        adversary={"level": 5, "public_images": GATHERED, "injection": {"pairs": GATHERED}},
    )
    with tempfile.TemporaryDirectory() as folder:
        memory = PeakMemory(torch.device("cpu"))
        with stopwatch() as watch:
            federate_scenario(scenario, RunDirectory(Path(folder) / "run"), force=False, progress=progress)
    return {"flower_pairs": GATHERED, "flower_seconds": watch.seconds, "driver_peak_gib": memory.bytes() / 2**30}
