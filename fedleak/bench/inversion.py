"""Benchmark of the inversion engine against a plain loop of eager double backpropagation."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from fedleak import seeds
from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.objective import BroadcastTensors, Objective, SearchTensors, TrialTensors
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors, total_variation_anisotropic
from fedleak.attacks.replay import replica, split_state
from fedleak.bench.base import Measured, stopwatch
from fedleak.bench.head_start import PAIRS, measure_head_start
from fedleak.bench.head_start import VICTIMS as HELD_OUT
from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.image_folder import ImageFolder
from fedleak.models.lenet import LeNet
from fedleak.progress import Progress

SHAPE, CLASSES = (3, 32, 32), 10
TV, RATE = 1e-6, 0.1
VICTIMS = 16
REPEATS = 5


def measure(progress: Progress, *, images: Path | None = None) -> Measured:
    """Iterations per second of signed Adam on cosine distance and total variation, one image, on all threads of torch.

    ``lenet_speedup`` and ``resnet18_speedup`` are relative to the reference loop; ``batch16_speedup`` is 16 victims at
    once relative to one victim at a time by the same engine, in victims times iterations per second. Candidates run
    alternately, ``REPEATS`` times, and medians count, so that other load slows both sides. Small networks are faster on
    one thread, which the engine chooses itself; the reference runs with one thread too, and its faster median counts.

    Args:
        images: folder of photographs, one sub-folder per class, for ``time_to_20db_ratio``; left out without it.
    """
    bar = progress.task("inversion", 3)
    lenet = LeNet().build(SHAPE, CLASSES, seed=0)
    one, many = _Runner(lenet, victims=1, compiled=True), _Runner(lenet, victims=VICTIMS, compiled=True)
    timed = _in_turn(
        {
            "lenet": lambda: one.speed(200),
            "batch16": lambda: VICTIMS * many.speed(40),
            "reference": lambda: _reference_speed(lenet, 100),
            "reference_one_thread": lambda: _on_one_thread(lambda: _reference_speed(lenet, 100)),
        }
    )
    reference = max(timed["reference"], timed["reference_one_thread"])
    measured = {
        "lenet_its_per_second": timed["lenet"],
        "lenet_reference_its_per_second": reference,
        "lenet_speedup": timed["lenet"] / reference,
        "lenet_compile_seconds": one.compile_seconds,
        "batch16_victim_its_per_second": timed["batch16"],
        "batch16_speedup": timed["batch16"] / timed["lenet"],
        "batch16_speedup_over_reference": timed["batch16"] / reference,
    }
    bar.advance()
    resnet = _cifar_resnet18()
    deep = _Runner(resnet, victims=1, compiled=False)  # its wide layers stay factored, which saves more
    timed = _in_turn({"resnet18": lambda: deep.speed(4), "reference": lambda: _reference_speed(resnet, 4)})
    measured |= {
        "resnet18_its_per_second": timed["resnet18"],
        "resnet18_reference_its_per_second": timed["reference"],
        "resnet18_speedup": timed["resnet18"] / timed["reference"],
    }
    bar.advance()
    if images is None:
        progress.say("time_to_20db_ratio is left out: it needs a folder of photographs such as CIFAR-10 (--images)")
    else:
        measured |= measure_head_start(_engine(lenet, compiled=True), _photographs(images), progress)
    bar.advance()
    return measured


def _photographs(folder: Path) -> LabelledImages:
    """As many random photographs as are needed."""
    train = ImageFolder(root=folder, size=SHAPE[1]).load().train
    chosen = seeds.numpy_generator(0, "bench-photographs").permutation(len(train))[: PAIRS + HELD_OUT]
    return train.take(chosen)


def _in_turn(candidates: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Median of each candidate's values; candidates run alternately."""
    rounds = [{name: run() for name, run in candidates.items()} for _ in range(REPEATS)]
    return {name: statistics.median(values[name] for values in rounds) for name in candidates}


def _on_one_thread(run: Callable[[], float]) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run()
    finally:
        torch.set_num_threads(threads)


def _cifar_resnet18() -> nn.Module:
    """A ResNet-18 with a 3x3 stem and no pooling, as usual for 32x32 images."""
    with seeds.global_torch_seed(0):
        model: nn.Module = resnet18(weights=None, num_classes=CLASSES)
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _victims(model: nn.Module, count: int) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Gradients of random images, and the starting points of the attack ``(count, 1, C, H, W)``."""
    generator = torch.Generator().manual_seed(0)
    network = replica(model, train_mode=False).requires_grad_(True)
    gradients = []
    for label in range(count):
        image = torch.randn(1, *SHAPE, generator=generator)
        loss = F.cross_entropy(network(image), torch.tensor([label % CLASSES]))
        values = torch.autograd.grad(loss, list(network.parameters()))
        gradients.append({n: g for (n, _), g in zip(network.named_parameters(), values, strict=True)})
    return gradients, torch.randn(count, 1, *SHAPE, generator=generator)


def _engine(model: nn.Module, *, compiled: bool) -> Engine:
    optimiser = Optimiser(kind="signed_adam", learning_rate=RATE, schedule="constant")
    priors = Priors(total_variation=TV)
    objective = Objective(replica(model, train_mode=False), SHAPE, None, Distance(), priors, Decoder())
    return Engine(objective, optimiser, compiled=compiled)


def _known(model: nn.Module, gradients: list[dict[str, Tensor]]) -> SearchTensors:
    parameters, buffers = split_state(model, model.state_dict())
    labels = torch.arange(len(gradients)) % CLASSES
    target = {name: torch.stack([gradient[name] for gradient in gradients]) for name in parameters}
    soft = {"soft": F.one_hot(labels, CLASSES).float()[:, None]}
    box = {"low": torch.full((3, 1, 1), -1.0), "high": torch.full((3, 1, 1), 1.0)}
    return SearchTensors(BroadcastTensors(parameters, buffers, box), TrialTensors(target, labels=soft))


class _Runner:
    """A warmed-up engine with victims to attack."""

    def __init__(self, model: nn.Module, *, victims: int, compiled: bool) -> None:
        gradients, start = _victims(model, victims)
        self._engine, self._known, self._start = _engine(model, compiled=compiled), _known(model, gradients), start
        with stopwatch() as watch:
            self.speed(3)
        self.compile_seconds = watch.seconds

    def speed(self, iterations: int) -> float:
        """Iterations per second."""
        with stopwatch() as watch:
            self._engine.run({"code": self._start}, self._known, iterations=iterations, generators=[torch.Generator()])
        return iterations / watch.seconds


def _reference_speed(model: nn.Module, iterations: int) -> float:
    """Iterations per second of the usual public loop: two calls of ``torch.autograd.grad``, ``torch.optim.Adam``."""
    (gradient,), start = _victims(model, 1)
    network = replica(model, train_mode=False).requires_grad_(True)
    weights, target, label = list(network.parameters()), list(gradient.values()), torch.tensor([0])
    image = start[0].clone().requires_grad_(True)
    solver = torch.optim.Adam([image], lr=RATE)

    def step() -> None:
        trial = torch.autograd.grad(F.cross_entropy(network(image), label), weights, create_graph=True)
        inner = torch.stack([(a * b).sum() for a, b in zip(trial, target, strict=True)]).sum()
        sizes = [torch.stack([t.square().sum() for t in tensors]).sum() for tensors in (trial, target)]
        value = 1 - inner / (sizes[0] * sizes[1]).sqrt() + TV * total_variation_anisotropic(image)
        (image.grad,) = torch.autograd.grad(value, image)
        image.grad.sign_()
        solver.step()
        with torch.no_grad():
            image.clamp_(-1, 1)

    for _ in range(3):
        step()
    with stopwatch() as watch:
        for _ in range(iterations):
            step()
    return iterations / watch.seconds
