"""Adam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.client.optimizer.base import LocalOptimizer
from fedleak.tensors import Tensors

Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamFamily(LocalOptimizer):
    """Settings that Adam shares with its variants."""

    torch_class: ClassVar[type[torch.optim.Adam]]
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay rates of the means of gradients and of squared gradients."""
    eps: float = Field(default=1e-8, gt=0, le=limits.RATE)
    """Added to the denominator, in units of the root mean square of the gradients."""
    amsgrad: bool = False
    """Divide by the largest mean of squared gradients so far (Reddi et al. 2018, arXiv 1904.09237, algorithm 2)."""
    weight_decay: float = Field(ge=0, le=limits.RATE)
    """How it is applied depends on the kind."""

    def torch_optimizer(self, parameters: Iterable[nn.Parameter], *, rate: float) -> torch.optim.Optimizer:
        """The optimiser of torch with these settings."""
        return self.torch_class(
            parameters,
            lr=rate,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            amsgrad=self.amsgrad,
        )


class Adam(AdamFamily):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1), as ``torch.optim.Adam``.

    Its first step moves every weight by about the learning rate, whatever the size of its gradient.
    """

    kind: Literal["adam"] = "adam"
    torch_class = torch.optim.Adam
    weight_decay: float = Field(default=0.0, ge=0, le=limits.RATE)
    """L2 weight decay of all parameters, added to the gradient."""

    def step(
        self, parameters: Tensors, gradient: Tensors, state: Mapping[str, Tensors], *, rate: float, number: int
    ) -> tuple[Tensors, Mapping[str, Tensors]]:
        """One step; the state is ``first``, ``second`` and, with ``amsgrad``, ``largest``."""
        if self.weight_decay:
            gradient = {name: torch.add(g, parameters[name], alpha=self.weight_decay) for name, g in gradient.items()}
        return adam_step(parameters, gradient, state, rate=rate, number=number, settings=self)


def adam_step(
    parameters: Tensors,
    gradient: Tensors,
    state: Mapping[str, Tensors],
    *,
    rate: float,
    number: int,
    settings: AdamFamily,
) -> tuple[Tensors, Mapping[str, Tensors]]:
    """One step of Adam without weight decay; see ``LocalOptimizer.step``."""
    beta_1, beta_2 = settings.betas
    before = state or {slot: {n: torch.zeros_like(g) for n, g in gradient.items()} for slot in _slots(settings)}
    first = {n: torch.lerp(m, gradient[n], 1 - beta_1) for n, m in before["first"].items()}
    second = {n: beta_2 * v + (1 - beta_2) * gradient[n].square() for n, v in before["second"].items()}
    after, scale = {"first": first, "second": second}, second
    if settings.amsgrad:
        scale = {n: torch.maximum(before["largest"][n], v) for n, v in second.items()}
        after["largest"] = scale
    length, size = rate / (1 - beta_1**number), (1 - beta_2**number) ** 0.5
    down = {n: _root(v) / size + settings.eps for n, v in scale.items()}
    new = {n: torch.addcdiv(p, first[n], down[n], value=-length) for n, p in parameters.items()}
    return new, after


def _slots(settings: AdamFamily) -> tuple[str, ...]:
    return ("first", "second", "largest") if settings.amsgrad else ("first", "second")


def _root(values: Tensor) -> Tensor:
    """Square root whose gradient at zero is zero instead of infinite."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
