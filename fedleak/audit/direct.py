"""``fedleak.invert`` and ``fedleak.infer_labels``: attacks on tensors, in a script or a notebook."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fedleak import seeds, threat
from fedleak.attacks.base import Attack, Reconstruction, TrainedAttack
from fedleak.attacks.budgets import reduced_budgets
from fedleak.attacks.labels.base import LabelInference
from fedleak.audit.given import Updates, arguments, component, model_capabilities, named_update
from fedleak.audit.inverted import Inverted
from fedleak.errors import InputError
from fedleak.examples import InputShape
from fedleak.progress import Progress, notebook_progress
from fedleak.results.convergence import KEPT_LOSS, MATCHING_LOSS, matching_loss
from fedleak.stages.attack.device import choose_device
from fedleak.stages.attack.victims import show_step
from fedleak.steps import listening

LABELS = "calibrated_counts"
"""The default label inference, as in scenarios."""
HOW = {
    "inferred_labels": "pass labels=..., or leave it out to have them inferred",
    "public_data": "pass public=(images uint8 (N, C, H, W), labels (N,))",
    "training_details": "pass training=fedleak.threat.TrainingDetails(...)",
    "post_processing_details": "pass further=[fedleak.threat.PostProcessingDetails(...)]",
    "batch_statistics": "pass further=[fedleak.threat.BatchStatistics(...)]",
    "starting_images": "pass further=[fedleak.threat.StartingImages(...)]",
}


def invert(
    model: nn.Module,
    update: Updates,
    input_shape: Sequence[int],
    attack: str | Mapping[str, Any] | Attack = "inverting_gradients",
    *,
    images: int = 1,
    labels: Tensor | Sequence[int] | None = None,
    label_inference: str | Mapping[str, Any] | LabelInference = LABELS,
    update_is: Literal["gradient", "delta"] = "gradient",
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    training: threat.TrainingDetails | None = None,
    public: tuple[Tensor, Tensor] | None = None,
    further: Sequence[threat.Capability] = (),
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Inverted:
    """Reconstruct the batch behind one update of a network, as its server would.

    The attack runs in this process and sees whatever this process has: to measure what an attacker without your data
    would find, keep the data out of reach of the attack's code, or use ``fedleak run``.

    Args:
        model: the network with the weights on which the update was computed; it is copied. Attacks by optimisation
            replay it in evaluation mode, or with statistics of the batch if their ``train_mode`` is set.
        update: gradients of the mean loss, or weight deltas (new minus old): by parameter name, or in their order.
        input_shape: of one image, ``(C, H, W)``.
        attack: a kind (``fedleak list attacks``), a mapping with settings, or an attack of your own.
        images: number of images behind the update.
        labels: their labels if known, in any order; None to have them inferred where the attack needs them.
        label_inference: how labels are inferred.
        update_is: what ``update`` holds.
        mean, std: the network takes ``(pixel in [0, 1] - mean) / std``; one number, or one per channel.
        training: the client's local training, for attacks that replay it.
        public: the attacker's own images and labels, for attacks that train on them.
        further: further capabilities of ``fedleak.threat``.
        seed: of the attack's random numbers.
        device: where to compute, such as ``cpu`` or ``cuda``.
        progress: where to report the progress of a training (default: a bar in a notebook, elsewhere nowhere).

    Raises:
        InputError: if the arguments do not fit each other, or the attack needs more than was given.
        AttackFailedError: if the attack cannot handle this update.
    """
    method = component(attack, "attack", Attack)
    known, place = _known(model, update, input_shape, images, update_is, mean, std, device)
    known += [*([training] if training is not None else []), *further]
    if public is not None:
        known.append(threat.PublicData(*public))
    wanted = method.wanted()
    own = None if labels is None else torch.as_tensor(labels).to(torch.int64).cpu().sort().values
    if own is not None:
        _check_labels(own, images, known)
        known.append(threat.InferredLabels(own.to(place), "given"))
    elif threat.InferredLabels in wanted:
        own = _infer(label_inference, known, images)
        known.append(threat.InferredLabels(own.to(place), "inferred"))
    begun = time.perf_counter()
    generator = seeds.torch_generator(seed, "invert", method.name, device="cpu")
    with notebook_progress(progress) as shown:
        trained = _trained(method, known, generator, shown, place)
        given = arguments(method.reconstruct, known, wanted=wanted, how=HOW)
        bar = shown.task(f"inverting with {method.name}", 1)
        with listening(partial(show_step, bar)):
            found: Reconstruction = method.reconstruct(*trained, **given, generator=generator)
        bar.advance()
    seconds = time.perf_counter() - begun
    loss, kept = (tuple(map(float, found.curve.get(name, ()))) for name in (MATCHING_LOSS, KEPT_LOSS))
    reduced = reduced_budgets(method)
    return Inverted(
        images=found.images.detach().float().cpu(),
        labels=found.labels if found.labels is not None else own,
        loss=loss,
        matching=matching_loss([loss], [kept], short=bool(reduced)),
        reduced=reduced,
        attack=method,
        seconds=seconds,
    )


def infer_labels(
    model: nn.Module,
    update: Updates,
    input_shape: Sequence[int],
    *,
    images: int = 1,
    method: str | Mapping[str, Any] | LabelInference = LABELS,
    update_is: Literal["gradient", "delta"] = "gradient",
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    further: Sequence[threat.Capability] = (),
    device: str = "auto",
) -> Tensor:
    """Labels ``(images,)`` int64 behind one update, sorted, repeats allowed; arguments as of ``invert``.

    Args:
        method: a kind of label inference (``fedleak list label_inference``), a mapping, or your own.

    Raises:
        InputError: if the arguments do not fit each other.
        AttackFailedError: if the update lacks what the method reads.
    """
    known, _ = _known(model, update, input_shape, images, update_is, mean, std, device)
    return _infer(method, [*known, *further], images)


def _known(
    model: nn.Module,
    update: Updates,
    input_shape: Sequence[int],
    images: int,
    update_is: str,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    device: str,
) -> tuple[list[threat.Capability], torch.device]:
    """What every attack knows, and the device."""
    if update_is not in ("gradient", "delta"):
        raise InputError("update_is", update_is, "gradient or delta")
    if images < 1:
        raise InputError("images", images, "at least 1")
    shape: InputShape = tuple(int(size) for size in input_shape)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError("input_shape", shape, "expected (channels, height, width)")
    place = choose_device(device)
    tensors = {name: tensor.to(place) for name, tensor in named_update(model, update).items()}
    shared = threat.SharedUpdate(
        tensors, "fedsgd" if update_is == "gradient" else "fedavg", round=1, client=0, samples=images
    )
    numbers = [(value,) if isinstance(value, int | float) else tuple(value) for value in (mean, std)]
    return [shared, *model_capabilities(model, shape, mean=numbers[0], std=numbers[1], device=place)], place


def _check_labels(labels: Tensor, images: int, known: Sequence[threat.Capability]) -> None:
    classes = next(one.classes for one in known if isinstance(one, threat.ModelArchitecture))
    if labels.shape != (images,):
        raise InputError("labels", tuple(labels.shape), f"expected one for each of {images} images")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError("labels", labels.tolist(), f"the network has classes 0 to {classes - 1}")


def _infer(method: Any, known: Sequence[threat.Capability], count: int) -> Tensor:
    inference = component(method, "label_inference", LabelInference)
    given = arguments(inference.infer, known, wanted=frozenset(), how=HOW)
    found: Tensor = inference.infer(**given, count=count)
    return found.detach().to("cpu", torch.int64)


def _trained(
    attack: Attack,
    known: Sequence[threat.Capability],
    generator: torch.Generator,
    progress: Progress,
    device: torch.device,
) -> tuple[Any, ...]:
    """What ``reconstruct`` takes first: the trained object of an attack that trains."""
    if not isinstance(attack, TrainedAttack):
        return ()
    wanted = attack.wanted()
    artefact = attack.fit(
        **arguments(attack.fit, known, wanted=wanted, how=HOW), generator=generator, progress=progress, device=device
    )
    return (attack.restore(artefact, **arguments(attack.restore, known, wanted=wanted, how=HOW), device=device),)
