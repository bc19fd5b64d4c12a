"""Iterations per second of the inversion engine against a plain loop: eager double backpropagation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from fedleak import seeds
from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.objective import Known, Objective
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors, total_variation_anisotropic
from fedleak.attacks.inversion.replay import replica, split_state
from fedleak.bench.base import Measured, stopwatch
from fedleak.models.lenet import LeNet
from fedleak.progress import Progress

SHAPE, CLASSES = (3, 32, 32), 10
TV, RATE = 1e-6, 0.1
VICTIMS = 16
REPEATS = 3
"""The fastest of so many runs counts, of the engine and of the reference in turn."""


def measure(progress: Progress) -> Measured:
    """Signed Adam on cosine distance and total variation, one image, on as many threads as torch has.

    ``lenet_speedup`` and ``resnet18_speedup`` are over the reference loop; ``batch16_speedup`` is 16 victims at once
    over one victim at a time, in victims times iterations per second. The ResNet runs eagerly: convolutions dominate,
    and compiling it takes minutes.
    """
    bar = progress.task("inversion", 3)
    lenet = LeNet().build(SHAPE, CLASSES, seed=0)
    measured = _compare("lenet", lenet, iterations=200, compiled=True)
    bar.advance()
    batched = _engine_speed(lenet, victims=VICTIMS, iterations=60, compiled=True)
    measured |= {
        "batch16_victim_its_per_second": VICTIMS * batched,
        "batch16_speedup": VICTIMS * batched / measured["lenet_its_per_second"],
        "batch16_speedup_over_reference": VICTIMS * batched / measured["lenet_reference_its_per_second"],
    }
    bar.advance()
    measured |= _compare("resnet18", _cifar_resnet18(), iterations=4, compiled=False)
    bar.advance()
    return measured


def _cifar_resnet18() -> nn.Module:
    """With a 3x3 stem and no pooling, as is usual for 32x32 images."""
    with seeds.global_torch_seed(0):
        model: nn.Module = resnet18(weights=None, num_classes=CLASSES)
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _compare(name: str, model: nn.Module, *, iterations: int, compiled: bool) -> Measured:
    engine = _engine_speed(model, victims=1, iterations=iterations, compiled=compiled)
    reference = max(_reference_speed(model, iterations) for _ in range(REPEATS))
    return {
        f"{name}_its_per_second": engine,
        f"{name}_reference_its_per_second": reference,
        f"{name}_speedup": engine / reference,
    }


def _victims(model: nn.Module, count: int) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Gradients of random images, and where the attack starts, ``(count, 1, C, H, W)``."""
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


def _known(model: nn.Module, gradients: list[dict[str, Tensor]]) -> Known:
    parameters, buffers = split_state(model, model.state_dict())
    labels = torch.arange(len(gradients)) % CLASSES
    return Known(
        parameters,
        buffers,
        target={name: torch.stack([gradient[name] for gradient in gradients]) for name in parameters},
        mask={},
        labels={"probabilities": F.one_hot(labels, CLASSES).float()[:, None]},
        consensus={},
        box={"low": torch.full((3, 1, 1), -1.0), "high": torch.full((3, 1, 1), 1.0)},
    )


def _engine_speed(model: nn.Module, *, victims: int, iterations: int, compiled: bool) -> float:
    """Iterations per second, after a warm-up that compiles."""
    gradients, start = _victims(model, victims)
    engine, known, generator = _engine(model, compiled=compiled), _known(model, gradients), torch.Generator()
    engine.run({"code": start}, known, iterations=3, generator=generator)
    speeds = []
    for _ in range(REPEATS):
        with stopwatch() as watch:
            engine.run({"code": start}, known, iterations=iterations, generator=generator)
        speeds.append(iterations / watch.seconds)
    return max(speeds)


def _reference_speed(model: nn.Module, iterations: int) -> float:
    """The loop of the public implementations: two calls of ``torch.autograd.grad``, ``torch.optim.Adam``."""
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
