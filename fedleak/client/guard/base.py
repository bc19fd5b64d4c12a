"""Base class of guards, and the weight matrices that they inspect."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from fedleak.component import Component


@dataclass(frozen=True)
class Finding:
    """A layer that looks crafted."""

    guard: str
    layer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.guard}: layer {self.layer}: {self.reason}"


class CraftedModelError(Exception):
    """A client rejects a model that looks crafted."""


class Guard(Component):
    """Base class of checks of a model's weights; they need no data, run once per broadcast and change nothing."""

    @abstractmethod
    def inspect(self, model: nn.Module) -> list[Finding]:
        """Layers that look crafted; empty for an honest model."""


def weight_matrices(model: nn.Module, *, smallest: int) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Linear and convolutional layers: name, layer, weights as ``(outputs, inputs)`` in double precision.

    Layers with fewer than ``smallest`` outputs or inputs are skipped, because small matrices show patterns by chance.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            matrix = layer.weight.detach().double().flatten(1)
            if min(matrix.shape) >= smallest:
                yield name, layer, matrix


def check_model(guards: Sequence[Guard], model: nn.Module) -> None:
    """Run every guard on the model.

    Raises:
        CraftedModelError: with all findings, if there are any.
    """
    findings = [str(finding) for guard in guards for finding in guard.inspect(model)]
    if findings:
        raise CraftedModelError("; ".join(findings))
