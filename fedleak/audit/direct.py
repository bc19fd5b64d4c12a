"""``fedleak.invert``, ``fedleak.infer_labels`` and ``fedleak.score``: attacks on tensors, in a script or a notebook."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from fedleak import seeds, threat
from fedleak.attacks.base import Attack, Reconstruction, TrainedAttack
from fedleak.attacks.budgets import Reduction, reduced_budgets
from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.matching import best_permutation
from fedleak.audit.given import Updates, arguments, model_capabilities, named_update
from fedleak.component import Component
from fedleak.errors import InputError
from fedleak.examples import InputShape, to_picture
from fedleak.families import kinds
from fedleak.metrics.base import Metric, MetricUnavailableError
from fedleak.progress import Progress, QuietProgress
from fedleak.results.convergence import KEPT_LOSS, MATCHING_LOSS, matching_loss
from fedleak.results.schema import MatchingLoss
from fedleak.stages.attack.device import choose_device

LABELS = "calibrated_counts"
"""The default label inference, as in scenarios."""
SHOWN = 8
"""Images in the picture that a notebook shows."""
ENLARGED = 96
"""Least side of an image in that picture, in pixels."""
HOW = {
    "inferred_labels": "pass labels=..., or leave it out to have them inferred",
    "public_data": "pass public=(images uint8 (N, C, H, W), labels (N,))",
    "training_details": "pass training=fedleak.threat.TrainingDetails(...)",
    "post_processing_details": "pass further=[fedleak.threat.PostProcessingDetails(...)]",
    "batch_statistics": "pass further=[fedleak.threat.BatchStatistics(...)]",
    "starting_images": "pass further=[fedleak.threat.StartingImages(...)]",
}


@dataclass(frozen=True, eq=False)
class Inverted:
    """What an attack found behind one update.

    Attributes:
        images: ``(B, C, H, W)`` float32 in [0, 1], in any order.
        labels: ``(B,)`` int64: guessed with the images and in their order, inferred (sorted), or as given; None if
            nobody asked for them.
        loss: the matching loss, one value per iteration; empty for attacks without a search.
        matching: summary of the loss: where it began, that of the images, and whether the search had ended.
        reduced: budgets below the attack's defaults.
        attack: its settings.
        seconds: of the attack, with its training if it has any.
    """

    images: Tensor
    labels: Tensor | None
    loss: tuple[float, ...]
    matching: MatchingLoss | None
    reduced: tuple[Reduction, ...]
    attack: Attack
    seconds: float

    @property
    def has_converged(self) -> bool | None:
        """Whether the search had come to its end; None for an attack without one."""
        return None if self.matching is None else self.matching.unfinished == 0

    @property
    def verdict(self) -> str:
        """In one sentence whether the search has ended; a poor image of an unfinished search is no sign of safety."""
        if self.matching is None:
            return "no search: the attack computes its answer"
        course = f"matching loss {self.matching.start:.3g} to {self.matching.final:.3g}"
        if not self.has_converged:
            return f"not converged: {course}, still falling or never left its start; raise the iterations"
        weaker = "; ".join(f"{name} {value}, by default {default}" for name, value, default in self.reduced)
        return f"converged: {course}" + (f"; weaker than the default: {weaker}" if weaker else "")

    def picture(self) -> Image.Image:
        """The first images side by side, enlarged."""
        shown = [_enlarged(to_picture(image)) for image in self.images[:SHOWN]]
        sheet = Image.new("RGB", (sum(one.width for one in shown) + 4 * (len(shown) - 1), shown[0].height), "white")
        left = 0
        for one in shown:
            sheet.paste(one, (left, 0))
            left += one.width + 4
        return sheet

    def _repr_png_(self) -> bytes:
        """For notebooks."""
        file = io.BytesIO()
        self.picture().save(file, format="png")
        return file.getvalue()

    def __repr__(self) -> str:
        shape = tuple(self.images.shape)
        return f"Inverted({self.attack.name}: images {shape}, {self.verdict}, {self.seconds:.1f} s)"


@dataclass(frozen=True, eq=False)
class MetricValues:
    """Reconstructions compared with originals, after one-to-one matching of least squared error.

    Attributes:
        order: index of the reconstruction matched to each original, ``(B,)``.
        values: metric -> one value per original.
        unavailable: metric -> why it has no values.
    """

    order: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric."""
        return {name: float(np.mean(column)) for name, column in self.values.items()}

    def __repr__(self) -> str:
        return "MetricValues(" + ", ".join(f"{name}={value:.4g}" for name, value in self.means.items()) + ")"


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
        model: the network, with the weights on which the update was computed, in the mode (``eval`` or ``train``) of
            the attack's settings; it is copied.
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
        progress: where to report the progress of a training (default: nowhere).

    Raises:
        InputError: if the arguments do not fit each other, or the attack needs more than was given.
        AttackFailedError: if the attack cannot handle this update.
    """
    method = _component(attack, "attack", Attack)
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
    trained = _trained(method, known, generator, progress or QuietProgress(), place)
    given = arguments(method.reconstruct, known, wanted=wanted, how=HOW)
    found: Reconstruction = method.reconstruct(*trained, **given, generator=generator)
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


def score(
    reconstructed: Tensor | Inverted, originals: Tensor, metrics: Sequence[str | Metric] | None = None
) -> MetricValues:
    """Compare reconstructions with the true images.

    Args:
        reconstructed: ``(A, C, H, W)`` in [0, 1], or the result of ``invert``; at least as many as originals.
        originals: ``(B, C, H, W)`` in [0, 1], not normalised.
        metrics: kinds or metrics of your own (default: those of every run).

    Raises:
        InputError: if shapes or ranges do not fit, or a metric is unknown.
    """
    guesses = reconstructed.images if isinstance(reconstructed, Inverted) else reconstructed
    guesses, truth = guesses.detach().float().cpu(), originals.detach().float().cpu()
    if guesses.ndim != 4 or truth.ndim != 4 or guesses.shape[1:] != truth.shape[1:] or len(guesses) < len(truth):
        allowed = f"expected at least {len(truth)} images {tuple(truth.shape[1:])}"
        raise InputError("reconstructed", tuple(guesses.shape), allowed)
    if not (float(truth.min()) >= 0 and float(truth.max()) <= 1):
        low, high = float(truth.min()), float(truth.max())
        raise InputError("originals", f"values from {low:.3g} to {high:.3g}", "expected pixels in [0, 1]")
    order = best_permutation(guesses[None], truth[None])[0] if len(guesses) > 1 else torch.zeros(1, dtype=torch.int64)
    matched = guesses[order].clamp(0, 1)
    values: dict[str, tuple[float, ...]] = {}
    unavailable: dict[str, str] = {}
    for metric in _metrics(metrics):
        try:
            values[metric.kind] = tuple(float(value) for value in metric.evaluate(matched, truth))
        except MetricUnavailableError as error:
            unavailable[metric.kind] = str(error)
    return MetricValues(tuple(int(place) for place in order), values, unavailable)


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
    inference = _component(method, "label_inference", LabelInference)
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


def _component(given: Any, family: str, base: type[Any]) -> Any:
    """A component from its kind, a mapping with its settings, or itself.

    Raises:
        InputError: if there is no such kind, or a setting is wrong.
    """
    if isinstance(given, base):
        return given
    settings = {"kind": given} if isinstance(given, str) else dict(given)
    known: Mapping[str, type[Component]] = kinds(family)
    kind = known.get(str(settings.get("kind")))
    if kind is None:
        raise InputError(family, settings.get("kind"), f"known kinds: {', '.join(known)}")
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(".".join([family, *map(str, first["loc"])]), first["input"], first["msg"]) from error


def _metrics(asked: Sequence[str | Metric] | None) -> list[Metric]:
    known: Mapping[str, Any] = kinds("metric")
    if asked is None:
        return [kind() for kind in known.values() if issubclass(kind, Metric) and kind.is_default]
    return [_component(one, "metric", Metric) for one in asked]


def _enlarged(pixels: np.ndarray[Any, Any]) -> Image.Image:
    image = Image.fromarray(pixels)
    times = max(1, -(-ENLARGED // max(image.size)))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
