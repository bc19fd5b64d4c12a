"""Benchmark of the time to 20 dB of an inversion, from GIT's image and from noise."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedleak.attacks.generative.git_ridge import GitRidge, RidgeInverter
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.objective import BroadcastTensors, SearchTensors, TrialTensors
from fedleak.attacks.replay import split_state
from fedleak.bench.base import Measured, stopwatch
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.data.sources.base import LabelledImages
from fedleak.examples import to_unit
from fedleak.metrics.psnr import Psnr
from fedleak.models.lenet import LeNet
from fedleak.progress import Progress
from fedleak.tensors import Tensors
from fedleak.threat import InjectedPairs, SharedUpdate
from fedleak.transcript.layout import Layout
from fedleak.transcript.rows import RowFile

CPU = torch.device("cpu")
GRADIENT = LocalTraining("fedsgd", batch_size=1, epochs=1, learning_rate=1.0, train_mode=False)
LENET = LeNet()
ENOUGH = 20.0
"""PSNR in dB that counts as reached."""
PAIRS, VICTIMS = 2000, 5
BUDGETS = (50, 100, 200, 400, 800, 1600, 3200, 6400)
"""Numbers of iterations, each tried from the start, until one is enough."""


@dataclass(frozen=True)
class HeadStart:
    """An engine for one LeNet, and the closed-form generator fitted to the pairs."""

    engine: Engine
    state: Tensors
    git: GitRidge
    trained: RidgeInverter

    def seconds_from_git(self, update: Tensors, image: Tensor) -> float:
        """Seconds of the generator plus those of the search, for one image ``(1, C, H, W)`` in [0, 1]."""
        shared = SharedUpdate(update, "fedsgd", round=1, client=1, samples=1)
        with stopwatch() as watch:
            start = self.git.reconstruct(self.trained, shared, generator=torch.Generator()).images
        return watch.seconds + self.search(update, image, 2 * start - 1)

    def search(self, update: Tensors, image: Tensor, start: Tensor) -> float:
        """Seconds until the iterate of lowest loss reaches ``ENOUGH``; those of the largest budget if none does."""
        if _psnr(start, image) >= ENOUGH:
            return 0.0
        known = self._known(update)
        for iterations in BUDGETS:
            with stopwatch() as watch:
                found = self.engine.run(
                    {"code": start[None]}, known, iterations=iterations, generators=[torch.Generator()]
                )
            if _psnr(found.variables["code"][0], image) >= ENOUGH:
                break
        return watch.seconds

    def _known(self, update: Tensors) -> SearchTensors:
        parameters, buffers = split_state(LENET.build((3, 32, 32), 10, seed=0), self.state)
        label = list(update.values())[-1].argmin()[None]
        box = {"low": torch.full((3, 1, 1), -1.0), "high": torch.full((3, 1, 1), 1.0)}
        target = {name: tensor[None] for name, tensor in update.items()}
        labels = {"soft": F.one_hot(label, 10).float()[None]}
        return SearchTensors(BroadcastTensors(parameters, buffers, box), TrialTensors(target, labels=labels))


def measure_head_start(engine: Engine, data: LabelledImages, progress: Progress, *, pairs: int = PAIRS) -> Measured:
    """``time_to_20db_ratio``: time from noise over time from GIT's image, medians over victims.

    GIT is the closed form ``git_ridge``; fitting it to ``pairs`` pairs is done once and timed separately. The time of a
    search is that of the first of doubling budgets after which the image is good enough. If noise never gets there, its
    largest budget counts, and the ratio is a lower bound.

    Args:
        engine: signed Adam with a constant rate, on a LeNet.
        data: photographs ``(N, 3, 32, 32)``; the first are for the pairs, the last for victims.
    """
    module = LENET.build((3, 32, 32), 10, seed=0)
    updates = _updates(module, data)
    bar = progress.task("from GIT's image and from noise", VICTIMS)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "updates.npy", torch.cat([t[:pairs].flatten(1) for t in updates.values()], dim=1))
        gathered = InjectedPairs(
            torch.from_numpy(data.images[:pairs]),
            np.arange(pairs)[:, None],
            RowFile(Path(folder) / "updates.npy"),
            Layout.of(module.named_parameters()),
            "fedsgd",
            "bench",
        )
        git = GitRidge()
        with stopwatch() as fitting:
            artefact = git.fit(gathered, generator=torch.Generator(), progress=progress, device=CPU)
        ready = HeadStart(engine, dict(module.state_dict()), git, git.restore(artefact, gathered, device=CPU))
    seconds: dict[str, list[float]] = {"git": [], "noise": []}
    noise = torch.Generator().manual_seed(0)
    for victim in range(len(data) - VICTIMS, len(data)):
        update = {name: tensor[victim] for name, tensor in updates.items()}
        image = to_unit(data.images[victim : victim + 1])
        seconds["git"].append(ready.seconds_from_git(update, image))
        seconds["noise"].append(ready.search(update, image, torch.randn(image.shape, generator=noise)))
        bar.advance()
    medians = {start: statistics.median(values) for start, values in seconds.items()}
    return {
        "git_pairs": pairs,
        "git_fit_seconds": fitting.seconds,
        "git_seconds_to_20db": medians["git"],
        "noise_seconds_to_20db": medians["noise"],
        "time_to_20db_ratio": medians["noise"] / medians["git"],
    }


def _updates(module: torch.nn.Module, data: LabelledImages) -> Tensors:
    pixels = torch.from_numpy(data.images).float() / 127.5 - 1
    return compute_updates(module, pixels[:, None], torch.from_numpy(data.labels)[:, None], GRADIENT, seed=0).tensors


def _psnr(code: Tensor, image: Tensor) -> float:
    """PSNR of normalised pixels ``(1, C, H, W)`` against an image in [0, 1]."""
    return float(Psnr().evaluate(((code + 1) / 2).clamp(0, 1), image))
