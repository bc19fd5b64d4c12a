"""Benchmark of FedAvg rounds against the same local steps in a bare PyTorch loop."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from fedleak.bench.base import Measured, lenet_scenario, one_core, processor_time
from fedleak.models.convnet import ConvNet
from fedleak.pipeline import federate_scenario
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario

CLIENTS = 10
ROUNDS = 50
SAMPLES = 320
BATCH_SIZE = 32
RATE = 0.05


def measure(progress: Progress, *, rounds: int = ROUNDS, samples: int = SAMPLES) -> Measured:
    """CPU time of a serial federation of ten ConvNet clients, of a bare loop, and their ratio.

    The loop does the same without a federation: the same mini-batches of CIFAR-sized images through
    ``torch.optim.SGD``, and the mean of the clients' weights. Both run on one thread. The federation also evaluates
    every model on a test split of a fifth as many images, records nine of ten updates, and can be resumed. The ratio is
    ``averaging_over_loop``.
    """
    scenario = _scenario(rounds, samples)
    with one_core(), tempfile.TemporaryDirectory() as folder:
        _bare_loop(scenario, 1, samples, progress)  # warm up
        with processor_time() as loop:
            _bare_loop(scenario, rounds, samples, progress)
        with processor_time() as federation:
            federate_scenario(scenario, RunDirectory(Path(folder) / "run"), force=False, progress=progress)
    return {
        "clients": CLIENTS,
        "rounds": rounds,
        "local_steps": rounds * CLIENTS * -(-samples // BATCH_SIZE),
        "federation_seconds": federation.seconds,
        "loop_seconds": loop.seconds,
        "averaging_over_loop": federation.seconds / loop.seconds,
    }


def _scenario(rounds: int, samples: int) -> Scenario:
    client = {
        "protocol": "fedavg",
        "samples": samples,
        "batch_size": BATCH_SIZE,
        "local_learning_rate": RATE,
        "batch_norm": "train_shared",
    }
    return lenet_scenario(
        images=CLIENTS * samples + 100,
        model="convnet",
        federation={"clients": CLIENTS, "rounds": rounds, "client": client, "engine": {"kind": "serial"}},
        adversary={"level": 3, "public_images": 100, "injection": None},
        attacks=[{"kind": "inverting_gradients"}],
    )


def _bare_loop(scenario: Scenario, rounds: int, samples: int, progress: Progress) -> None:
    splits = scenario.dataset.load()
    images = torch.from_numpy(splits.train.images)
    labels = torch.from_numpy(splits.train.labels)
    model = ConvNet().build(splits.input_shape, len(splits.class_names), seed=0)
    bar = progress.task("bare loop", rounds)
    for _ in range(rounds):
        states = []
        for client in range(CLIENTS):
            own = slice(client * samples, (client + 1) * samples)
            states.append(_local_sgd(model, (images[own] / 255 - 0.5) / 0.5, labels[own]))
        mean = {n: torch.stack([state[n].float() for state in states]).mean(dim=0) for n in states[0]}
        model.load_state_dict(mean)
        bar.advance()


def _local_sgd(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    own = copy.deepcopy(model).train()
    optimiser = torch.optim.SGD(own.parameters(), lr=RATE)
    for batch in torch.split(torch.randperm(len(labels)), BATCH_SIZE):
        optimiser.zero_grad()
        F.cross_entropy(own(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return own.state_dict()
