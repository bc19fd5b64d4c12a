"""What every post-processing step is, and how steps make a chain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn

from fedleak.client.postprocess.tensors import scaled_norm
from fedleak.component import Component

Update = Mapping[str, torch.Tensor]


class UnfitSettingError(ValueError):
    """A setting of a step does not fit the model.

    Attributes:
        setting, value: which one.
        reason: why, and what would fit.
    """

    def __init__(self, setting: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.setting, self.value, self.reason = setting, value, reason


class PostProcess(Component):
    """A transformation of one update: name -> tensor, gradients or weight deltas, never buffers."""

    compresses: ClassVar[bool] = False
    """It loses part of the update to save bandwidth, and error feedback may send the lost part later."""

    needs_size: ClassVar[bool] = False
    """What it does to a direction depends on the length, so that no surrogate exists for trials of unknown size."""

    needs_batch: ClassVar[bool] = False
    """It reads the images behind the update: what it does is done by ``at_source``, before every other step."""

    def check_model(self, model: nn.Module, example: torch.Tensor) -> None:
        """Whether the step fits the model whose updates it will process; every model does unless the kind says no.

        Args:
            example: one normalised image, ``(1, C, H, W)``.

        Raises:
            UnfitSettingError: if it does not.
        """
        return

    @abstractmethod
    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The update as shared; the argument is left as it was. Random steps draw from ``generator`` only."""

    def at_source(self, update: Update, *, model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the step does where the client still holds its batch; nothing unless it ``needs_batch``.

        Args:
            update: the gradient of the batch.
            model: that it was computed with.
            images: normalised, ``(B, C, H, W)``.
        """
        return dict(update)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, torch.Tensor]:
        """What an attacker who knows this step makes of a trial update: differentiable, without random draws.

        The trial update as it is, unless the kind knows better.

        Args:
            update: a trial update, name -> tensor.
            shared: the update that was really shared, of the same shapes.
        """
        return dict(update)

    def noise_variance(self, shared: Update) -> dict[str, torch.Tensor]:
        """Variance of what chance adds to a value, a scalar for each tensor, as an attacker reads it off ``shared``.

        Empty unless the kind draws and knows.
        """
        return {}


def apply_steps(steps: Sequence[PostProcess], update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Apply ``steps`` in the order in which the scenario lists them."""
    result = dict(update)
    for step in steps:
        result = step.apply(result, generator=generator)
    return result


def global_norm(update: Update) -> torch.Tensor:
    """Euclidean norm over all tensors together, a scalar; infinite only where the norm itself is out of range."""
    largest, relative = scaled_norm(update.values())
    return largest * relative
