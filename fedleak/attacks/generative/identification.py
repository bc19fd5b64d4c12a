"""Identification of the weights of a leaked chain from pairs, layer by layer from the last, by least squares.

For one image, ``dL/db_L = p - y`` gives the probabilities ``p`` and ``a_{L-1}`` exactly (Chen & Liu 2025, arXiv
2505.20026, section 4), hence logits for many known inputs of the last layer: a linear system for ``W_L``. With it,
``d_{L-1} = (W_L^T d_L) * s'(a_{L-1})`` is known, Eq. 3 gives ``a_{L-2}``, and where ``s`` is invertible ``a_{L-1}``
gives the layer's pre-activations: the next linear system. Exact-GIT learns the same weights by gradient descent.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.attacks.generative.exact_inverse import pull_back, solve_input
from fedleak.attacks.layers.chain import ChainLayer, unfold
from fedleak.attacks.tikhonov import tikhonov_solve
from fedleak.errors import AttackFailedError

DTYPE = torch.float64
"""Double precision, because the inverses lose digits."""
SILENT = {True: 1e-6, False: 1e-3}
"""ReLU outputs below this fraction of their root mean square count as zero, where the derivative jumps. The key says
whether they are the last layer's input, which is known exactly."""
CHUNK = 64
"""Updates processed at a time."""
RIDGE = 1e-9
"""Tikhonov term of the least squares, relative to the mean eigenvalue."""


class BackwardRecursion:
    """Recursion from the last layer's gradient back to the input of the second layer.

    Args:
        chain: layers of the leaked model; their weights are not used.
        guard: weight of the Tikhonov term in the inverses.
        final_guard: the same in the inverse that gives the second layer's input.
    """

    def __init__(self, chain: tuple[ChainLayer, ...], *, guard: float, final_guard: float) -> None:
        last = chain[-1]
        if len(chain) < 2 or not (isinstance(last.module, nn.Linear) and last.bias):
            raise AttackFailedError("git_identified needs at least two layers, and a linear last layer with a bias")
        self.chain, self._guard, self._final_guard = chain, guard, final_guard

    def start(self, update: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """``d`` and the input of the last layer, ``(n, classes)`` and ``(n, width)``."""
        d = update[f"{self.chain[-1].name}.bias"].to(DTYPE)
        return d, self._input(len(self.chain) - 1, update, d)

    def step(
        self, index: int, update: Mapping[str, Tensor], weight: Tensor, d: Tensor, a: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``d`` and input of the previous layer, from ``d``, input ``a`` and weight of layer ``index``."""
        layer, before = self.chain[index], self.chain[index - 1]
        back = pull_back(layer.module, weight, d, layer.input_shape).reshape(a.shape)
        earlier = (back * before.activation.derivative(a)).reshape(-1, *before.output_shape)
        return earlier, self._input(index - 1, update, earlier)

    def _input(self, index: int, update: Mapping[str, Tensor], d: Tensor) -> Tensor:
        layer = self.chain[index]
        gradient = update[f"{layer.name}.weight"].to(DTYPE)
        a = solve_input(layer.module, gradient, d, layer.input_shape, self._final_guard if index == 1 else self._guard)
        if index == 0 or self.chain[index - 1].activation.kind != "relu":
            return a
        threshold = SILENT[index == len(self.chain) - 1] * a.square().flatten(1).mean(dim=1).sqrt()
        return torch.where(a > threshold.reshape(-1, *[1] * (a.ndim - 1)), a, torch.zeros_like(a))

    def __call__(self, update: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """Tensors ``(n, *shape)`` -> input of the second layer, given the weights of the later layers."""
        return torch.cat([self._walked(part, weights) for part in _parts(update)])

    def _walked(self, update: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        d, a = self.start(update)
        for index in range(len(self.chain) - 1, 1, -1):
            d, a = self.step(index, update, weights[f"{self.chain[index].name}.weight"], d, a)
        return a


def identify(walk: BackwardRecursion, update: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of all layers except the first two, by name, float64.

    The last layer's weight is known up to a vector common to all rows, on which no gradient depends; its rows are
    returned with sum zero.

    Args:
        update: tensors ``(n, *shape)`` of many single-image updates; gradients, not weight deltas.
    """
    chain = walk.chain
    starts = [walk.start(part) for part in _parts(update)]
    d, a = (torch.cat(values) for values in zip(*starts, strict=True))
    weights: dict[str, Tensor] = {}
    outputs: Tensor | None = None
    for index in range(len(chain) - 1, 1, -1):
        layer = chain[index]
        weight = _output_weight(d, a) if outputs is None else _weight(layer, a, outputs)
        weights[f"{layer.name}.weight"] = weight
        outputs = a.reshape(-1, *chain[index - 1].output_shape)
        steps = [
            walk.step(index, part, weight, d[i : i + CHUNK], a[i : i + CHUNK])
            for part, i in zip(_parts(update), range(0, len(a), CHUNK), strict=True)
        ]
        d, a = (torch.cat(values) for values in zip(*steps, strict=True))
    return weights


def _output_weight(d: Tensor, a: Tensor) -> Tensor:
    """Last weight up to a vector common to all rows, from ``d = p - y`` ``(n, classes)`` and inputs ``(n, width)``."""
    label = F.one_hot(d.abs().argmax(dim=1), d.shape[1]).to(d.dtype)
    logits = (d + label).clamp_min(torch.finfo(torch.float32).tiny).log()
    return _least_squares(a, logits - logits.mean(dim=1, keepdim=True))


def _weight(layer: ChainLayer, a: Tensor, outputs: Tensor) -> Tensor:
    """A layer's weight from its inputs and activated outputs."""
    z = layer.activation.inverse(outputs)
    if isinstance(layer.module, nn.Linear):
        patches, targets = a.flatten(1), z.flatten(1)
    else:
        patches = unfold(layer.module, a).transpose(1, 2).flatten(0, 1)
        targets = z.flatten(2).transpose(1, 2).flatten(0, 1)
    rows = []
    for target in targets.unbind(dim=1):
        known = target.isfinite()
        rows.append(_least_squares(patches[known], target[known, None])[0])
    return torch.stack(rows).reshape(layer.module.weight.shape)


def _least_squares(inputs: Tensor, targets: Tensor) -> Tensor:
    """``targets = inputs @ W^T + b`` solved for ``W`` ``(outputs, inputs)``."""
    if not len(inputs):
        return inputs.new_zeros(targets.shape[1], inputs.shape[1])
    centred = inputs - inputs.mean(dim=0)
    right = centred.T @ (targets - targets.mean(dim=0))
    solution, singular = tikhonov_solve((centred.T @ centred)[None], right[None], weight=RIDGE)
    if singular.any():
        raise AttackFailedError("the pairs do not determine a layer's weight")
    return solution[0].T


def _parts(update: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    count = len(next(iter(update.values())))
    return [{n: t[i : i + CHUNK] for n, t in update.items()} for i in range(0, count, CHUNK)]
