"""Exact-GIT's network: the recursion of Eq. 3 with the leaked model's unknown weights as parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fedleak.attacks.generative.exact_inverse import pull_back, solve_input, solve_output
from fedleak.attacks.layers.chain import ChainLayer
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.threat import PixelPrior

DTYPE = torch.float64
"""Double precision, because the inverses lose digits; affordable, because the supported networks are small."""


class ExactNetwork(nn.Module):
    """The recursion of Eq. 3 as a network.

    Args:
        chain: the leaked model's layers; training starts from their weights.
        pixels: mean and standard deviation with which clients normalise.
        image: ``(C, H, W)``.
        read_biases: use the bias gradients of all linear layers, not only of the last.
        guard: weight of the Tikhonov term.

    Raises:
        AttackFailedError: if the last layer is not linear with a bias.
    """

    def __init__(
        self,
        chain: tuple[ChainLayer, ...],
        pixels: PixelPrior,
        image: InputShape,
        *,
        read_biases: bool,
        guard: float,
    ) -> None:
        super().__init__()
        last = chain[-1]
        if not (isinstance(last.module, nn.Linear) and last.bias):
            raise AttackFailedError("git_exact needs a linear last layer with a bias")
        self._chain, self._image, self._guard = chain, image, guard
        self._read = [isinstance(layer.module, nn.Linear) and layer.bias and read_biases for layer in chain[:-1]]
        used = [chain[i + 1] for i, read in enumerate(self._read) if not read]
        self.names = [f"{layer.name}.weight" for layer in used]
        self.weights = nn.ParameterList(nn.Parameter(layer.module.weight.detach().to(DTYPE)) for layer in used)
        self._pixels = pixels

    def named(self) -> dict[str, Tensor]:
        """Estimates by parameter name of the leaked model, float32, detached."""
        return {n: w.detach().to("cpu", torch.float32) for n, w in zip(self.names, self.weights, strict=True)}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Replace the estimates."""
        with torch.no_grad():
            for name, weight in zip(self.names, self.weights, strict=True):
                weight.copy_(weights[name])

    def forward(self, update: Mapping[str, Tensor]) -> Tensor:
        """Tensors ``(n, *shape)`` of the leaked model's parameters -> pixels ``(n, C, H, W)``."""
        g = {name: tensor.to(DTYPE) for name, tensor in update.items()}
        weights = dict(zip(self.names, self.weights, strict=True))
        d = g[f"{self._chain[-1].name}.bias"]
        for i in reversed(range(len(self._chain))):
            layer = self._chain[i]
            gradient = g[f"{layer.name}.weight"]
            a = solve_input(layer.module, gradient, d, layer.input_shape, self._guard)
            if i == 0:
                break
            before = self._chain[i - 1]
            if self._read[i - 1]:
                d = g[f"{before.name}.bias"]
                continue
            d = solve_output(layer.module, gradient, a, layer.output_shape, self._guard)
            back = pull_back(layer.module, weights[f"{layer.name}.weight"], d, layer.input_shape)
            d = (back * before.activation.derivative(a)).reshape(-1, *before.output_shape)
        return self._pixels.normalisation.undo(a.reshape(len(a), *self._image))
