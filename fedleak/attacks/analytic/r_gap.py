"""R-GAP, the recursive gradient attack on privacy."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.analytic.constraints import gradient_rows, weight_rows
from fedleak.attacks.analytic.last_layer import LastLayer, solve_last_layer
from fedleak.attacks.analytic.linear_layer import to_pixels
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.layers.chain import Activation, ChainLayer, chain_of
from fedleak.errors import AttackFailedError
from fedleak.tensors import Tensors
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate

LIMIT = 1e-12
"""Distance of a saturating activation's outputs from their limits, so that they can be inverted."""
OFF = 1e-5
"""Fraction of the largest output below which a ReLU counts as off: rounding leaves its estimate just above zero."""


class RGap(Attack):
    """R-GAP: solve one linear system per layer, from the last layer to the first (Zhu & Blaschko 2021).

    arXiv 2010.07733. For one image and a chain of linear and convolutional layers with invertible activations. A
    layer's input ``x`` satisfies the weight constraints ``W x = z - b``, where ``z`` follows from the input of the next
    layer through the inverse activation, and the gradient constraints ``K x = dL/dW``, where ``K`` is built from the
    backpropagated ``dL/dz`` (section 3). A ReLU that is off gives no weight constraint. Both blocks are scaled to equal
    norm and solved together as a minimum-norm least-squares problem in double precision. The scale of a shared update
    is determined at the last layer, so a weight delta is treated as one step.
    ``curve.rank_share`` gives, from the last layer to the first, the fraction of a layer's inputs that the constraints
    determine; below 1, the image is one of many solutions (the rank analysis of section 4).

    Fails on batches, on shortcuts and pooling, and on layers whose outputs are fewer than their inputs: what the
    equations of such a layer leave undetermined is lost, and every earlier layer inherits the error.
    """

    kind: Literal["r_gap"] = "r_gap"
    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification"})
    most_unknowns: int = Field(default=8192, ge=1, le=limits.PARAMETERS)
    """Layers with more inputs are rejected, because the dense system grows with their square."""
    tolerance: float = Field(default=1e-12, gt=0, lt=1)
    """Directions weaker than this fraction of the strongest count as undetermined."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        pixels: PixelPrior,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """The image ``(1, C, H, W)`` and its label.

        Raises:
            AttackFailedError: if there is more than one image, a layer that cannot be inverted or is too large, or an
                update that is zero or not finite.
        """
        if (update.samples or 1) != 1:
            raise AttackFailedError(f"R-GAP reconstructs a single image; the update comes from {update.samples}")
        chain = chain_of(architecture.build(seed=0), architecture.input_shape)
        self._check(chain)
        for name in (f"{layer.name}.{own}" for layer in chain for own, _ in layer.module.named_parameters()):
            if name not in update.tensors:
                raise AttackFailedError(f"R-GAP needs the gradient of every layer; {name} is frozen")
        sign = 1.0 if update.protocol == "fedsgd" else -1.0
        shared = {name: sign * tensor.double().cpu() for name, tensor in update.tensors.items()}
        weights = {name: model.state[name].double().cpu() for name in shared}
        last = solve_last_layer(shared, weights, chain[-1].name)
        inputs, shares = self._walk_back(chain, shared, weights, last)
        images = to_pixels(inputs.float().reshape(1, -1), architecture.input_shape, pixels)
        return Reconstruction(images=images, labels=torch.tensor([last.label]), curve={"rank_share": shares})

    def _check(self, chain: tuple[ChainLayer, ...]) -> None:
        if not isinstance(chain[-1].module, nn.Linear):
            raise AttackFailedError(f"R-GAP starts from a linear last layer, not from {chain[-1].name}")
        for layer in chain:
            size = torch.Size(layer.input_shape).numel()
            if size > self.most_unknowns:
                raise AttackFailedError(
                    f"{layer.name} has {size} inputs, more than most_unknowns = {self.most_unknowns}"
                )

    def _walk_back(
        self, chain: tuple[ChainLayer, ...], shared: Tensors, weights: Tensors, last: LastLayer
    ) -> tuple[Tensor, list[float]]:
        """Flat input of the first layer, and for each layer the fraction of its inputs that is determined."""
        outputs = last.features
        backward = weights[f"{chain[-1].name}.weight"].T @ last.output_gradient
        shares = [1.0]
        for layer in reversed(chain[:-1]):
            outputs = settled(layer.activation, outputs)
            weight = weights[f"{layer.name}.weight"]
            gradient = (backward * layer.activation.derivative(outputs)).reshape(len(weight), -1)
            bias = weights.get(f"{layer.name}.bias", torch.zeros(len(weight), dtype=torch.float64))
            before = layer.activation.inverse(outputs)
            known, target = before.isfinite(), before.reshape(len(weight), -1) - bias[:, None]
            rows = weight_rows(layer, weight)
            outputs, share = self._solve(
                (rows[known], target.flatten()[known]),
                (gradient_rows(layer, gradient), shared[f"{layer.name}.weight"].flatten() / last.scale),
            )
            shares.append(share)
            backward = rows.T @ gradient.flatten()
        return outputs, shares

    def _solve(self, *blocks: tuple[Tensor, Tensor]) -> tuple[Tensor, float]:
        """Minimum-norm least squares over blocks scaled to unit norm, and the fraction of unknowns determined."""
        scaled = [(a / size, b / size) for a, b in blocks if (size := float(torch.linalg.matrix_norm(a))) > 0]
        if not scaled:
            raise AttackFailedError("a layer has neither a gradient nor active units, so its input has no equations")
        system, target = (torch.cat(part) for part in zip(*scaled, strict=True))
        if not (torch.isfinite(system).all() and torch.isfinite(target).all()):
            raise AttackFailedError("the linear systems are not finite")
        solved = torch.linalg.lstsq(system, target[:, None], rcond=self.tolerance, driver="gelsy")
        if not torch.isfinite(solved.solution).all():
            raise AttackFailedError("the linear systems have no finite solution")
        return solved.solution[:, 0], float(solved.rank) / system.shape[1]


def settled(activation: Activation, outputs: Tensor) -> Tensor:
    """Outputs of ``activation``, any shape, with rounding errors removed that would prevent inversion."""
    if activation.kind == "sigmoid":
        return outputs.clamp(LIMIT, 1 - LIMIT)
    if activation.kind == "tanh":
        return outputs.clamp(LIMIT - 1, 1 - LIMIT)
    if activation.kind == "relu" or (activation.kind == "leaky_relu" and activation.slope == 0):
        return torch.where(outputs > OFF * float(outputs.abs().max()), outputs, torch.zeros_like(outputs))
    return outputs
