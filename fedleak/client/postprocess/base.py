"""Base class of post-processing steps, and how they are chained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn

from fedleak.component import Component

Update = Mapping[str, torch.Tensor]


class UnfitSettingError(ValueError):
    """A setting of a step does not fit the model.

    Attributes:
        setting, value: the setting and its value.
        reason: why it does not fit, and what would.
    """

    def __init__(self, setting: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.setting, self.value, self.reason = setting, value, reason


class PostProcess(Component):
    """Base class of transformations of one update: name -> tensor, gradients or weight deltas, never buffers."""

    compresses: ClassVar[bool] = False
    """Whether it drops part of the update to save bandwidth; error feedback may send the dropped part later."""

    needs_size: ClassVar[bool] = False
    """Whether its effect depends on the update's norm; then there is no surrogate for trial updates of unknown norm."""

    needs_batch: ClassVar[bool] = False
    """Whether it needs the images behind the update; it then works in ``at_source``, before every other step."""

    def check_model(self, model: nn.Module, example: torch.Tensor) -> None:
        """Check that the step fits the model whose updates it will process (default: every model fits).

        Args:
            example: one normalised image, ``(1, C, H, W)``.

        Raises:
            UnfitSettingError: if it does not.
        """
        return

    @abstractmethod
    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The update as shared; the argument is not changed. Random steps draw only from ``generator``."""

    def at_source(self, update: Update, *, model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Apply the part of the step that needs the client's batch; only for steps with ``needs_batch``.

        Args:
            update: the gradient of the batch.
            model: the model that it was computed with.
            images: normalised, ``(B, C, H, W)``.
        """
        return dict(update)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, torch.Tensor]:
        """Differentiable, deterministic form of the step that an adaptive attack applies to a trial update.

        Default: the trial update itself.

        Args:
            update: a trial update, name -> tensor.
            shared: the update that the client shared, with the same shapes.
        """
        return dict(update)

    def noise_variance(self, shared: Update) -> dict[str, torch.Tensor]:
        """Variance of a value's random part, a scalar for each tensor, as an attacker estimates it from ``shared``.

        Empty for kinds that add no randomness or do not know its variance.
        """
        return {}


def apply_steps(steps: Sequence[PostProcess], update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Apply ``steps`` in the order in which the scenario lists them."""
    result = dict(update)
    for step in steps:
        result = step.apply(result, generator=generator)
    return result
