"""Benchmark of training Coarse-GIT on a transcript far larger than memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fedleak.attacks.generative.git_coarse import GitCoarse
from fedleak.attacks.generative.training import TrainingSettings
from fedleak.bench.base import Measured, stopwatch
from fedleak.models.lenet import LeNet
from fedleak.progress import Progress
from fedleak.stages.attack.memory import PeakMemory
from fedleak.threat import InjectedPairs, ModelArchitecture
from fedleak.transcript.layout import Layout
from fedleak.transcript.rows import RowFile, create_rows

PAIRS = 10_000
GIGABYTES = 20
EPOCHS = 2
WRITE_ROWS = 64


def measure(progress: Progress, *, gigabytes: float = GIGABYTES, epochs: int = EPOCHS) -> Measured:
    """Peak resident memory and seconds of training for ``epochs`` on a synthetic float16 transcript of ``gigabytes``.

    The leaked model is a LeNet of about a million parameters; the updates are random, since only their volume matters.
    """
    model = LeNet(channels=137)
    architecture = ModelArchitecture(model.factory((3, 32, 32), 10), (3, 32, 32), 10)
    layout = Layout.of(architecture.build(seed=0).named_parameters())
    pairs = max(100, round(gigabytes * 1e9 / (2 * layout.size)))
    attack = GitCoarse(max_layer_features=4096, training=TrainingSettings(epochs=epochs, batch_size=128))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "updates.npy"
        with stopwatch() as writing:
            _write(path, pairs, layout.size, progress.task("writing a synthetic transcript", pairs).advance)
        memory = PeakMemory(torch.device("cpu"))
        with stopwatch() as training:
            attack.fit(
                _pairs(path, pairs, layout),
                architecture,
                generator=torch.Generator().manual_seed(0),
                progress=progress,
                device=torch.device("cpu"),
            )
        size = path.stat().st_size
    return {
        "transcript_gb": size / 1e9,
        "pairs": pairs,
        "values_per_update": layout.size,
        "writing_seconds": writing.seconds,
        "training_seconds": training.seconds,
        "epochs": epochs,
        "peak_resident_gib": memory.bytes() / 2**30,
    }


def _write(path: Path, pairs: int, values: int, advance: Callable[[int], None]) -> None:
    create_rows(path, (pairs, values), "float16")
    rows = RowFile(path, writable=True)
    generator = np.random.default_rng(0)
    block = generator.standard_normal((WRITE_ROWS, values), dtype=np.float32)
    for start in range(0, pairs, WRITE_ROWS):
        count = min(WRITE_ROWS, pairs - start)
        block = np.roll(block, int(generator.integers(values)), axis=1)
        rows.write(start, block[:count].astype(np.float16))
        advance(count)


def _pairs(path: Path, pairs: int, layout: Layout) -> InjectedPairs:
    generator = np.random.default_rng(1)
    images = torch.from_numpy(generator.integers(256, size=(1000, 3, 32, 32), dtype=np.uint8))
    index = generator.integers(len(images), size=(pairs, 1))
    return InjectedPairs(images, index, RowFile(path), layout, "fedsgd", "bench")
