"""Reader of class fishing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch

from fedleak.attacks.analytic.linear_layer import first_layer, row_inputs
from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.knowledge import InversionKnowledge
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.states import KeptName
from fedleak.attacks.malicious.rows import as_batch
from fedleak.errors import AttackFailedError
from fedleak.models.front import last_linear_layer
from fedleak.threat import InferredLabels, ModelTampering, SharedUpdate


@dataclass(frozen=True, kw_only=True)
class FishingKnowledge(InversionKnowledge):
    """What an inversion knows, and how the last layer was crafted."""

    tampering: ModelTampering = field()


class ClassFishingReader(InversionAttack):
    """The one image of the class that class fishing lets through (Wen et al. 2022, arXiv 2202.00580).

    Below the last layer, the gradient of the batch is that of its images of the target class over the batch's size, and
    the bias gradient of the class says how many there are. If it is one, its gradient is the client's times the size of
    the batch: a network that begins with a linear layer gives the image by division; with others it is searched as
    Inverting Gradients does (arXiv 2003.14053), by the gradients of all layers but the last.

    Fails where the batch holds several images of the class, or none, and where clients refuse a last layer whose biases
    silence all other classes (guard ``class_fishing``).
    """

    kind: Literal["class_fishing"] = "class_fishing"
    reads: ClassVar[str | None] = "class_fishing"
    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification"})

    keep: KeptName = "last"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(kind="signed_adam", learning_rate=0.1, schedule="step")

    def victims_together(self, known: InversionKnowledge) -> int:
        """One: what was fished differs from update to update."""
        return 1

    def reconstruct(self, known: FishingKnowledge, *, generator: torch.Generator) -> Reconstruction:
        """The image, with its label.

        Raises:
            AttackFailedError: if the batch holds no image of the class, or several, or the client trained locally.
        """
        architecture, target = known.architecture, int(known.tampering.settings["target"])
        try:
            last = last_linear_layer(architecture.build(seed=0), outputs=architecture.outputs)
        except ValueError as error:
            raise AttackFailedError(str(error)) from error
        size = known.update.samples
        if known.update.protocol != "fedsgd" or size is None:
            raise AttackFailedError("the target's gradient is known only in a gradient of a known number of images")
        found = fished(known.update, f"{last}.bias", target, size)
        if found != 1:
            raise AttackFailedError(
                f"the batch holds {found} images of class {target}; only the gradient of a single one can be read"
            )
        one = replace(
            known.update, tensors={n: size * t for n, t in known.update.tensors.items()}, samples=1, summed=()
        )
        label = torch.tensor([target], device=next(iter(one.tensors.values())).device)
        try:
            inputs = row_inputs(*first_layer(architecture, one), smallest=1e-12)[:1]
        except AttackFailedError:  # no linear layer in front
            names = tuple(name for name in one.tensors if name.rpartition(".")[0] != last)
            search = self.model_copy(update={"distance": self.distance.model_copy(update={"layers": names})})
            labels = InferredLabels(label, self.kind)
            return search.invert(replace(known, update=one, labels=labels), generator)
        return Reconstruction(
            images=as_batch(inputs, architecture.input_shape, known.pixels, samples=1), labels=label.cpu()
        )


def fished(update: SharedUpdate, bias: str, target: int, size: int) -> int:
    """Number of images of the target class: its ``dL/db`` is ``-1`` for each of them, over the size of the batch.

    Args:
        bias: name of the last layer's bias.
        target: the class.
        size: of the batch.

    Raises:
        AttackFailedError: if the bias is frozen.
    """
    if bias not in update.tensors:
        raise AttackFailedError("the last layer is frozen: its gradient is not shared")
    return round(-size * float(update.tensors[bias][target]))
