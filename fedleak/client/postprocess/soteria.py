"""Soteria: pruning of the most revealing features of a representation."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.client.postprocess.base import PostProcess, UnfitSettingError, Update
from fedleak.models.state import trainable

FEATURES_AT_ONCE = 64
"""Number of Jacobian rows computed at a time."""


class Soteria(PostProcess):
    """Prune the input features of a linear layer that reveal most about the images (Sun et al. 2021, arXiv 2012.06043).

    The features with the largest ``|r_f| / ||dr_f/dx||`` are pruned (their algorithm 1): their columns in the gradient
    of the layer's weight become zero, and nothing else changes. For a batch, the ratios of its images are summed (our
    interpretation; the paper has one image).
    """

    kind: Literal["soteria"] = "soteria"
    needs_batch: ClassVar[bool] = True
    layer: str | None = None
    """Name of the weight of the defended layer, such as ``7.weight`` (default: the model's last matrix)."""
    rate: float = Field(default=0.8, ge=0, lt=1)
    """Share of the features that is pruned, rounded down."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """The update unchanged: the pruning is done by ``at_source``, which has the images."""
        return {name: tensor.clone() for name, tensor in update.items()}

    def at_source(self, update: Update, *, model: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Set the pruned columns of the layer's gradient to zero."""
        name = self._weight(model, images[:1])
        values, slopes = representation(model, name, images)
        tells = torch.where(values == 0, values, values.abs() / slopes).sum(dim=0)
        pruned = tells.topk(int(self.rate * len(tells) + 1e-9)).indices
        return {n: t.index_fill(1, pruned, 0.0) if n == name else t.clone() for n, t in update.items()}

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """Set the columns to zero that were pruned in the shared update.

        Balunović et al. 2022 (arXiv 2111.04706) break the defense by ignoring the layer; the columns that were not
        pruned are unchanged, so they can be kept.
        """
        name = self._guarded(update)
        return {n: t * (shared[n] != 0).any(dim=0) if n == name else t for n, t in update.items()}

    def check_model(self, model: nn.Module, example: Tensor) -> None:
        """Check that the defended layer is linear and takes one vector per image."""
        try:
            self._weight(model, example)
        except ValueError as error:
            raise UnfitSettingError("layer", self.layer, str(error)) from error

    def _weight(self, model: nn.Module, images: Tensor) -> str:
        """The name of the defended weight.

        Raises:
            ValueError: if it is not the weight of a linear layer that takes one vector per image.
        """
        parameters = trainable(model) or dict(model.named_parameters())
        name = self._guarded(parameters)
        layer = model.get_submodule(name.rpartition(".")[0]) if name in parameters else None
        if name is None or not isinstance(layer, nn.Linear) or not name.endswith(".weight"):
            raise ValueError(f"{name} is not the weight of a linear layer; parameters: {', '.join(parameters)}")
        if len(features := _inputs(model, layer, images)) != 1 or features[0].ndim != 2:
            raise ValueError(f"{name}: the layer must be called once, with one vector per image")
        return name

    def _guarded(self, update: Update) -> str | None:
        matrices = [name for name, tensor in update.items() if tensor.ndim == 2]
        return self.layer or (matrices[-1] if matrices else None)


def representation(model: nn.Module, name: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """The input features of a linear layer, and the norm of each feature's derivative by the image.

    Args:
        model: evaluated with its running statistics; not changed.
        name: name of the layer's weight.
        images: normalised, ``(B, C, H, W)``.

    Returns:
        ``r`` and ``||dr_f/dx||``, both ``(B, F)``.
    """
    layer = model.get_submodule(name.rpartition(".")[0])
    images = images.detach().requires_grad_(True)
    (features,) = _inputs(model, layer, images)
    norms = []
    for chosen in torch.split(torch.eye(features.shape[1]).to(features), FEATURES_AT_ONCE):
        directions = chosen.unsqueeze(1).expand(-1, len(images), -1)
        (rows,) = torch.autograd.grad(features, images, directions, is_grads_batched=True, retain_graph=True)
        norms.append(rows.flatten(2).norm(dim=2))
    return features.detach(), torch.cat(norms).T


def _inputs(model: nn.Module, layer: nn.Module, images: Tensor) -> list[Tensor]:
    """Input of ``layer`` in each of its calls."""
    seen: list[Tensor] = []

    def note(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        seen.append(arguments[0])

    was_training = model.training
    handle = layer.register_forward_pre_hook(note)
    try:
        model.eval()(images)
    finally:
        handle.remove()
        model.train(was_training)
    return seen
